"""Unit tests and modules mirror each other: each unit test has a module, and each module has a unit test or another suite."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from tests.structure.source import PACKAGE, TESTS

UNIT = TESTS / "unit"
#: Modules with fewer lines of code need no suite of their own.
SMALL = 60

#: The suites of modules and packages without a unit test of their own. The most specific entry applies.
SUITES = {
    "api": ["functional/api"],
    "api/controllers": ["functional/api", "structure/test_routes.py"],
    "api/schemas": ["functional/api/test_schemathesis.py", "unit/api/test_openapi.py"],
    "api/server.py": ["functional/api/test_server.py"],
    "bank/blocks": ["unit/bank/blocks/test_blockstore.py", "unit/bank/checkpoints/test_section.py"],
    "bank/checkpoints": ["unit/bank/checkpoints/test_checkpoints.py", "unit/bank/checkpoints/test_section.py"],
    "bank/collector": ["unit/bank/collector/test_gc.py", "unit/bank/collector/test_gc_state_machine.py"],
    "bank/format": ["unit/bank/format/test_manifest.py", "unit/bank/format/test_pack.py"],
    "bank/keys": ["unit/bank/keys/test_keyring.py"],
    "bank/leases": ["unit/bank/leases/test_lease.py", "unit/bank/collector/test_gc.py"],
    "bank/objectstore": ["contract/objectstore.py", "contract/test_faulty_stores.py"],
    "bank/options.py": ["unit/bank/test_bank.py"],
    "bank/verify.py": ["unit/cmd/manage/test_bank.py", "unit/bank/checkpoints/test_section_corruption.py"],
    "clients": ["unit/clients"],
    "cmd": ["scenario", "functional/protection/test_process.py"],
    "conf": ["structure/test_samples.py"],
    "control": ["unit/control", "contract/database/test_recovery.py"],
    "datapath": ["contract/datapath"],
    "db": ["contract/database"],
    "db/models": ["contract/database/test_migration.py"],
    "db/scheduled_runs.py": ["contract/operationengine/test_scheduler.py"],
    "exception.py": ["structure/test_errors.py"],
    "operationengine": ["functional/operationengine", "contract/operationengine"],
    "metrics/figures.py": ["contract/database/test_figures.py"],
    "metrics/health.py": ["unit/metrics/test_exporter.py"],
    "plugins": ["contract/plugins"],
    "protection": ["functional/protection"],
    "rpc": ["unit/rpc", "functional/api/test_bus.py"],
    "sandbox": ["functional/sandbox"],
    "testing": ["contract/plugins"],
    "shared.py": ["unit/api/test_health.py"],
    "webserver.py": ["functional/api/test_server.py"],
    "service.py": ["functional/protection/test_process.py", "functional/api/test_process.py"],
}


def has_module(test: Path) -> bool:
    """``test_lease.py`` and ``test_lease_renewal.py`` both mirror ``lease.py``, or a package ``lease``."""
    directory = PACKAGE / test.parent.relative_to(UNIT)
    words = test.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    return any((directory / f"{name}.py").exists() or (directory / name / "__init__.py").exists() for name in names)


def has_unit_test(module: Path) -> bool:
    """Return whether a unit test mirrors a module."""
    directory = UNIT / module.parent.relative_to(PACKAGE)
    return (directory / f"test_{module.stem}.py").exists() or any(directory.glob(f"test_{module.stem}_*.py"))


def count_code_lines(module: Path) -> int:
    """Count the lines of a module without blank lines, comments and docstrings."""
    text = module.read_text()
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def find_suites(module: Path) -> list[str]:
    """Return the suites of the most specific entry for a module."""
    relative = module.relative_to(PACKAGE)
    return next((SUITES[str(path)] for path in (relative, *relative.parents) if str(path) in SUITES), [])


def test_every_unit_test_mirrors_a_module() -> None:
    strays = [str(test.relative_to(TESTS)) for test in sorted(UNIT.rglob("test_*.py")) if not has_module(test)]
    assert not strays, "tests of several modules belong in tests/functional or tests/contract"


def test_every_module_has_a_unit_test_or_another_suite() -> None:
    untested = [
        str(module.relative_to(PACKAGE))
        for module in sorted(PACKAGE.rglob("*.py"))
        if not has_unit_test(module) and not find_suites(module) and count_code_lines(module) >= SMALL
    ]
    assert not untested, "add a unit test, or name the suite in SUITES"


@pytest.mark.parametrize("entry", SUITES)
def test_the_entries_and_suites_exist(entry: str) -> None:
    assert (PACKAGE / entry).exists()
    for suite in SUITES[entry]:
        assert (TESTS / suite).exists(), suite
