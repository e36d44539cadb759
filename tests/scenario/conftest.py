import pytest

from tests.fixtures.cloud import backing, cloud  # noqa: F401
from tests.fixtures.system import system  # noqa: F401
from tests.scenario.tenant import Tenant


@pytest.fixture
def alice(cloud, system):  # noqa: F811
    return Tenant(cloud, "alice")


@pytest.fixture
def full_size(cloud):  # noqa: F811
    """Use volumes of 2**30 bytes on the sandbox too, for tests that interrupt a transfer of data."""
    small = cloud.size
    cloud.size = (1 << 30) // cloud.gib
    yield
    cloud.size = small


@pytest.fixture
def bob(cloud, system):  # noqa: F811
    return Tenant(cloud, "bob")


def pytest_collection_modifyitems(items):
    """Extend the timeout: transfers through real services take minutes on a loaded machine."""
    for item in items:
        if "tests/scenario" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(1800))
