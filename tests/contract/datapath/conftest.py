import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cloud.errors import CannotRun
from tests.fixtures.services import skipping_where_allowed


@pytest.fixture
def small_storage(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Mounts a filesystem of 1 MiB when it is called. If it cannot, the test fails, or is skipped as for a server."""
    mounted = list[Path]()

    def mount() -> Path:
        path = tmp_path / "small"
        path.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", path]
        with skipping_where_allowed():
            if os.geteuid() != 0 or subprocess.run(argv, check=False).returncode:
                raise CannotRun("a small filesystem cannot be mounted: this needs root, and a container that may mount")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=True)
