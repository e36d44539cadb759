"""Options of test runs, marks that follow from fixtures, and the selection of tests."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

# Before any test imports oslo.messaging, because the first import of oslo.service selects its backend for the process.
import karbor_like.service  # noqa: F401

pytest_plugins = ["tests.fixtures.services"]

# Calls over the bus that were abandoned may still be connecting for some seconds. What they log belongs to no test.
logging.getLogger("oslo_messaging._drivers.impl_rabbit").addFilter(
    lambda record: not str(record.threadName).startswith("rpc-")
)

# Of any speed of the machine. With CI=true, Hypothesis makes up the same examples in each run, as its own profile says.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

#: Fixtures of servers, and the marks of tests that use them.
_SERVERS = {
    "mariadb": "mariadb",
    "postgresql": "postgresql",
    "rabbitmq": "rabbitmq",
    "qemu": "storage",
    "iscsi": "storage",
    "ceph": "storage",
}
#: Marks whose tests run in one process each with `--dist loadgroup`, so that each server is started once.
_GROUPS = ("mariadb", "postgresql", "storage")
#: Coverage nearly doubles the processor time of a test, so only the tests nearest to the code are measured.
_MEASURED = ("tests/unit/", "tests/contract/", "tests/functional/api/", "client/tests/")
#: Tests that repeat, at many points or with made-up input, what other tests do once. They are not measured either.
_REPEATING = re.compile(r"_at_any_|_at_requests_|_anywhere_|lost_answer|refusal_of_any_|made_up")
_LONGEST = "tests/unit/bank/collector/test_gc_state_machine.py"
_TURNS = 3
OTHER_TURNS = pytest.StashKey[list[str]]()
"""Names of the tests that belong to other turns and do not run now."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cloud",
        choices=["sandbox", "real"],
        default="sandbox",
        help="cloud for the scenarios: the sandbox, or a real OpenStack, which is started (needs root on Debian)",
    )
    parser.addoption(
        "--real-follows",
        action="store_true",
        help='deselect tests marked "once", because a run on real OpenStack follows',
    )
    parser.addoption(
        "--turn",
        choices=["all", *map(str, range(_TURNS))],
        default="all",
        help='the turn on real OpenStack: tests marked "turn" with another number run in another one',
    )
    parser.addoption(
        "--storm-seconds",
        type=float,
        default=120,
        help="seconds in which test_storm.py kills operation engines at random",
    )
    parser.addoption("--faults-seed", help="seed of the sample of the fault matrix, instead of the commit")
    parser.addoption(
        "--faults-outage",
        type=float,
        default=4.0,
        help="seconds for which a database or the message bus is unreachable in the fault matrix (4)",
    )
    parser.addoption("--kills", type=int, default=2, help="kills of protects, and of restores, in test_kills.py")
    parser.addoption("--kill-seed", default="1", help="seed of the moments of these kills")
    parser.addoption(
        "--every-outage",
        action="store_true",
        help="let an outage begin at every request of an operation in test_outages.py, instead of at a few of them",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that use the fixture of a server. Deselect tests that belong to other runs."""
    for item in items:
        for name, mark in _SERVERS.items():
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if not item.nodeid.startswith(_MEASURED) or _repeats(item):
            item.add_marker(pytest.mark.no_cover)
        for name in _GROUPS:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.xdist_group(name))
    # The longest file comes first, so that no process waits for it at the end.
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
    _leave_out(config, items)


def _repeats(item: pytest.Item) -> bool:
    function = getattr(item, "obj", None)
    return bool(_REPEATING.search(item.name)) or getattr(function, "is_hypothesis_test", False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _unmeasured(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with _unmeasured(item):
        yield


@contextlib.contextmanager
def _unmeasured(item: pytest.Item) -> Iterator[None]:
    """Pause coverage in the fixtures of tests marked "no_cover". pytest-cov itself pauses it only in the test function."""
    controller = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if controller is None or not item.get_closest_marker("no_cover"):
        yield
        return
    controller.pause()
    try:
        yield
    finally:
        controller.resume()


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that run on another cloud, and tests of other turns."""
    turn = config.getoption("--turn")
    others = [
        item for item in items if (own := item.get_closest_marker("turn")) and turn not in ("all", str(own.args[0]))
    ]
    config.stash[OTHER_TURNS] = [item.name for item in others]
    deselected = set(others)
    elsewhere = "sandbox" if config.getoption("--cloud") == "real" else "cloud"
    deselected |= {item for item in items if item.get_closest_marker(elsewhere)}
    if config.getoption("--real-follows"):
        deselected |= {item for item in items if item.get_closest_marker("once")}
    if deselected:
        config.hook.pytest_deselected(items=list(deselected))
        items[:] = [item for item in items if item not in deselected]


@pytest.fixture(scope="session", autouse=True)
def other_turns(request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]) -> None:
    """Record in the report which tests belong to other turns."""
    for name in request.config.stash[OTHER_TURNS]:
        record_testsuite_property("left to another commit", name)
