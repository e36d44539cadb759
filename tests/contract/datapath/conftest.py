import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_storage(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Mounts a filesystem of 1 MiB when it is called. Skips the test if this account cannot."""
    mounted = list[Path]()

    def mount() -> Path:
        path = tmp_path / "small"
        path.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", path]
        if os.geteuid() != 0 or subprocess.run(argv, check=False).returncode:
            pytest.skip("cannot mount a small filesystem")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=True)
