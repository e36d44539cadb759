"""The distribution is built and installed alone: what comes along is enough for it, and has nothing of the server."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CLIENT = Path(__file__).parents[1]
SERVER = CLIENT.parent / "requirements.txt"
#: What the server needs and the client may have as well.
SHARED = {
    "keystoneauth1",
    "oslo-config",
    "oslo-i18n",
    "oslo-serialization",
    "oslo-utils",
    "pbr",
    "python-dateutil",
    "rich",
}
SHARED |= {"stevedore", "cachetools", "cryptography", "jsonschema", "pyyaml", "requests", "typing-extensions"}

#: Imports all modules and prints the names of the commands that can be loaded.
_SCRIPT = """
import importlib, pkgutil, sys
from importlib import metadata
import karbor_like_client
for module in pkgutil.walk_packages(karbor_like_client.__path__, "karbor_like_client."):
    importlib.import_module(module.name)
for command in metadata.entry_points(group="openstack.extension"):
    command.load()
    print(command.name)
"""


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def needed(requirements: list[str]) -> Iterator[metadata.Distribution]:
    """Yield the installed distributions that fulfil *requirements*, and what they need."""
    seen: set[str] = set()
    names = [Requirement(line.partition("#")[0]) for line in requirements]
    while names:
        wanted = names.pop()
        name = canonical(wanted.name)
        if name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        found = metadata.distribution(wanted.name)
        yield found
        names += [Requirement(line) for line in found.requires or ()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built distribution."""
    directory = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("tests", "__pycache__", "*.egg-info", "build")
    source = shutil.copytree(CLIENT, directory / "source", ignore=ignored)
    build = "import pbr.build as b; print(b.build_wheel('..'))"
    environment = {**os.environ, "PBR_VERSION": "1.0.0"}
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def along(wheel: Path) -> list[metadata.Distribution]:
    """What comes along with the distribution."""
    with zipfile.ZipFile(wheel) as content:
        (name,) = [each for each in content.namelist() if each.endswith("METADATA")]
        lines = content.read(name).decode().splitlines()
    own = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    return list(needed(own))


def test_nothing_of_the_server_comes_along(along):
    names = {canonical(found.metadata["Name"]) for found in along}
    lines = [line.partition("#")[0].strip() for line in SERVER.read_text().splitlines()]
    server = {canonical(Requirement(line).name) for line in lines if line} | {"karbor-like"}
    assert names & server <= SHARED
    assert {"openstacksdk", "osc-lib", "cliff", "rich"} <= names


def test_the_distribution_works_with_what_comes_along(wheel, along, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for found in along:
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(tmp_path / "venv" / "bin" / "python"), "-W", "ignore", "-c", _SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"data_protection_plan_list", "data_protection_checkpoint_copy"} <= set(done.stdout.split())
