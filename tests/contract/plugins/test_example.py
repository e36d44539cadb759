"""The example of the documentation is built, installed, and tested as a distribution of its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_plugin"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory with the sources of the example in ``source`` and the installed example in ``site``."""
    source = tmp_path / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("conftest.py", "__pycache__"))
    # Installing a pure wheel means to unpack it. The environment may lack an installer.
    build = "import setuptools.build_meta as b; print(b.build_wheel('..'))"
    answer = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    with zipfile.ZipFile(tmp_path / answer.stdout.split()[-1]) as wheel:
        wheel.extractall(tmp_path / "site")
    return tmp_path


def test_installed_example_passes_the_contract_suites(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed / "site"), "XDG_CACHE_HOME": str(installed / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "source/tests"]
    # Outside the sources, so that the installed package is imported.
    answer = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
