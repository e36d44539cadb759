"""Unit tests lie where the module that they test lies."""

from pathlib import Path

from tests.structure.source import PACKAGE, TESTS

UNIT = TESTS / "unit"


def mirrors_a_module(path: Path) -> bool:
    """``test_lease.py`` and ``test_lease_renewal.py`` both stand for ``lease.py``, or for a package ``lease``."""
    directory = PACKAGE / path.parent.relative_to(UNIT)
    words = path.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    return any((directory / f"{name}.py").exists() or (directory / name / "__init__.py").exists() for name in names)


def test_every_unit_test_mirrors_a_module() -> None:
    strays = [str(path.relative_to(TESTS)) for path in sorted(UNIT.rglob("test_*.py")) if not mirrors_a_module(path)]
    assert not strays, "what tests more than one module belongs into tests/functional or tests/contract"
