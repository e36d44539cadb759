"""Fixtures every test may take, and the marks that follow from taking them."""

from collections.abc import Callable

import pytest

# Before any test imports oslo.messaging: the first to import oslo.service chooses its backend for the whole process.
import karbor_like.service  # noqa: F401

pytest_plugins = ["tests.fixtures.services"]

_SERVERS = ("mariadb", "postgresql", "rabbitmq")
#: Coverage nearly doubles the processor time of a test, so it is measured on the tests that are near to the code.
_MEASURED = ("tests/unit/", "tests/contract/", "tests/functional/api/")
_TURNS = 3
OTHER_TURNS = pytest.StashKey[list[str]]()
"""Names of the tests that this run leaves to other turns."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cloud",
        choices=["sandbox", "real"],
        default="sandbox",
        help="what the scenarios run on: the sandbox, or real OpenStack, which is started (takes root, on Debian)",
    )
    parser.addoption(
        "--real-follows",
        action="store_true",
        help='real OpenStack belongs to the same run: leave to it what is marked "once"',
    )
    parser.addoption(
        "--turn",
        choices=["all", *map(str, range(_TURNS))],
        default="all",
        help='which of the tests marked "turns" to run: each belongs to one turn',
    )
    parser.addoption(
        "--storm-seconds",
        type=float,
        default=120,
        help="for how long operation engines are killed at random (tests/functional/operationengine/test_storm.py)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that take a server's fixture with the server's name, and leave out what another run does."""
    only_real = pytest.mark.skip(reason="needs real OpenStack: --cloud real")
    for item in items:
        for name in _SERVERS:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)
        if item.get_closest_marker("cloud") and config.getoption("--cloud") != "real":
            item.add_marker(only_real)
        if not item.nodeid.startswith(_MEASURED):
            item.add_marker(pytest.mark.no_cover)
        # With `--dist loadgroup`: one process starts MariaDB and another one PostgreSQL.
        for name in _SERVERS[:2]:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.xdist_group(name))
    _leave_out(config, items)


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what belongs to real OpenStack alone, and what belongs to another turn."""
    left = [item for item in items if config.getoption("--real-follows") and item.get_closest_marker("once")]
    turn = config.getoption("--turn")
    in_turns = [item for item in items if item.get_closest_marker("turns")]
    others = [item for number, item in enumerate(in_turns) if turn not in ("all", str(number % _TURNS))]
    config.stash[OTHER_TURNS] = [item.name for item in others]
    left += others
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session", autouse=True)
def other_turns(request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]) -> None:
    """Say in the report which tests were left to other turns."""
    for name in request.config.stash[OTHER_TURNS]:
        record_testsuite_property("left to another commit", name)
