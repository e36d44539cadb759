"""The modules of the package and its entry points."""

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "karbor_like"
TESTS = ROOT / "tests"


def modules() -> Iterator[str]:
    """Yield the dotted name of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def entry_points(group: str) -> Mapping[str, str]:
    """Return the entry points of a group in setup.cfg: name -> ``module:attribute``."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["entry_points"][group].strip().splitlines()
    return {name.strip(): target.strip() for name, target in (line.split("=") for line in lines)}


def entry_point_groups() -> list[str]:
    """List the groups of entry points in setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return list(parser["entry_points"])
