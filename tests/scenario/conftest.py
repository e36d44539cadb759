import uuid
from collections.abc import Iterator

import pytest
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

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


@pytest.fixture
def delegates(cloud, alice) -> Iterator[dict[str, Tenant]]:  # noqa: F811
    """Callers who act as alice, with a token of a trust for bob or of a restricted application credential."""
    keystone = cloud.auth_url.removesuffix("/v3") + "/v3"
    user = f"{keystone}/users/{alice.session.get_user_id()}"
    account = {name: value for name, value in cloud.credentials("bob").items() if not name.startswith("project")}
    trust = {
        "trustor_user_id": alice.session.get_user_id(),
        "trustee_user_id": cloud.session("bob").get_user_id(),
        "project_id": alice.session.get_project_id(),
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    trust = alice.session.post(f"{keystone}/OS-TRUST/trusts", json={"trust": trust}).json()["trust"]
    body = {"application_credential": {"name": f"robot-{uuid.uuid4()}"}}
    robot = alice.session.post(f"{user}/application_credentials", json=body).json()["application_credential"]
    secret = {"application_credential_id": robot["id"], "application_credential_secret": robot["secret"]}
    plugins = {
        "trust": v3.Password(**account, trust_id=trust["id"]),
        "restricted application credential": v3.ApplicationCredential(keystone, **secret),
    }
    yield {name: Tenant(cloud, "alice", Session(auth=auth)) for name, auth in plugins.items()}
    alice.session.delete(f"{keystone}/OS-TRUST/trusts/{trust['id']}")
    alice.session.delete(f"{user}/application_credentials/{robot['id']}")


def pytest_collection_modifyitems(items):
    """Extend the timeout: transfers through real services take minutes on a loaded machine."""
    for item in items:
        if "tests/scenario" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(1800))
