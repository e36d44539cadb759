import pytest

from tests.fixtures.cloud import backing, cloud  # noqa: F401
from tests.fixtures.system import system  # noqa: F401
from tests.scenario.tenant import Tenant


@pytest.fixture
def alice(cloud, system):  # noqa: F811
    return Tenant(cloud, "alice")


@pytest.fixture
def bob(cloud, system):  # noqa: F811
    return Tenant(cloud, "bob")


def pytest_collection_modifyitems(items):
    """Real bytes through real services take minutes on a busy machine; a hang takes for ever."""
    for item in items:
        if "tests/scenario" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(1200))
