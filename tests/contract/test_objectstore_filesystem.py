from pathlib import Path

import pytest

from karbor_like.bank.objectstore import base, filesystem
from tests.contract import objectstore


class TestFilesystemStore(objectstore.ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> filesystem.FilesystemStore:
        self.path = tmp_path / "karbor"
        return filesystem.FilesystemStore(str(tmp_path))

    def plant(self, store: base.ObjectStore, name: str) -> None:
        (self.path / name).write_bytes(b"a foreign object")
