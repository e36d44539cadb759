"""Fixtures every test may take, and the marks that follow from taking them."""

import pytest

# Before any test imports oslo.messaging: the first to import oslo.service chooses its backend for the whole process.
import karbor_like.service  # noqa: F401

pytest_plugins = ["tests.fixtures.services"]

_SERVERS = ("mariadb", "postgresql", "rabbitmq")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cloud",
        choices=["sandbox", "real"],
        default="sandbox",
        help="what the scenarios run on: the sandbox, or real OpenStack, which is started (takes root, on Debian)",
    )
    parser.addoption(
        "--storm-seconds",
        type=float,
        default=120,
        help="for how long operation engines are killed at random (tests/functional/operationengine/test_storm.py)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that takes a server's fixture carries the server's mark, so that a run can leave it out."""
    only_real = pytest.mark.skip(reason="needs real OpenStack: --cloud real")
    for item in items:
        for name in _SERVERS:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)
        if item.get_closest_marker("cloud") and config.getoption("--cloud") != "real":
            item.add_marker(only_real)
