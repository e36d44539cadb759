"""Trusts: created with a user's token, used without the user, lost in several ways, deleted when they are unused."""

import uuid
from concurrent import futures
from pathlib import Path

import pytest
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from karbor_like import exception, service
from karbor_like.clients.factory import ClientFactory
from karbor_like.context import RequestContext
from karbor_like.db import trusts
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.operationengine.trusts import TrustLost, Trusts
from karbor_like.secret import Cipher
from tests.functional.operationengine.site import FOLLOW, RETRY, context_of


@pytest.fixture(autouse=True)
def _no_trusts(cloud):
    yield
    for user in ("alice", "bob"):
        for trust in _in_keystone(cloud, user):
            cloud.session(user).delete(f"{cloud.auth_url}/OS-TRUST/trusts/{trust}")


def _in_keystone(cloud, user="alice"):
    session = cloud.session(user)
    listed = session.get(f"{cloud.auth_url}/OS-TRUST/trusts?trustor_user_id={session.get_user_id()}").json()["trusts"]
    return [trust["id"] for trust in listed]


def _role(cloud, method, context):
    admin = cloud.session("admin")
    grants = f"{cloud.auth_url}/projects/{context.project_id}/users/{context.user_id}/roles"
    (member,) = admin.get(f"{cloud.auth_url}/roles?name=member").json()["roles"]
    admin.request(f"{grants}/{member['id']}", method)


def _revoke_trust(cloud):
    (trust,) = _in_keystone(cloud)
    cloud.session("alice").delete(f"{cloud.auth_url}/OS-TRUST/trusts/{trust}")


def test_there_is_one_trust_for_all_operations_of_a_user_in_a_project(site, cloud):
    for _ in range(3):
        site.schedule()
    assert len(_in_keystone(cloud)) == 1
    (row,) = site.trust_rows()
    assert _in_keystone(cloud)[0] not in row.trust_id, "it is stored encrypted"


def test_the_trust_is_deleted_with_the_last_operation(site, cloud):
    operations = [site.schedule() for _ in range(2)]
    owner = site.context.user_id, site.context.project_id
    for remaining, operation in ((1, operations[0]), (0, operations[1])):
        _delete_operation(site, operation)
        site.trusts.release(*owner)
        assert (len(_in_keystone(cloud)), len(site.trust_rows())) == (remaining, remaining)


def test_a_trust_that_was_not_released_is_swept(site, cloud):
    operation = site.schedule()
    site.trusts.sweep(0)
    assert len(_in_keystone(cloud)) == 1
    site.database.write(lambda session: SCHEDULED_OPERATIONS.delete(session, operation))
    site.trusts.sweep()
    assert len(_in_keystone(cloud)) == 1, "it is young"
    site.trusts.sweep(0)
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_the_engine_acts_as_the_user(site):
    site.schedule()
    clients = site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)
    assert clients.session.get_user_id() == site.context.user_id
    assert clients.session.get_project_id() == site.context.project_id
    assert site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False) is clients


def test_a_refusal_by_keystone_is_reported(site, cloud):
    forged = RequestContext(
        user_id=site.context.user_id,
        project_id=site.context.project_id,
        auth_token=cloud.session("bob").get_token(),
        roles=["member"],
        service_catalog=site.context.service_catalog,
    )
    with pytest.raises(exception.NotAuthorized, match="creating a trust"):
        site.trusts.ensure(forged)
    assert site.trust_rows() == []


def _account(cloud, method, kind, key, **values):
    body = {"json": {kind: values}} if values else {}
    cloud.session("admin").request(f"{cloud.auth_url}/{kind}s/{key}", method, **body)


def _lose(site, cloud, fate):
    """Make the trust stop working, and return a function that restores the cloud for other tests."""
    user, project = ("user", site.context.user_id), ("project", site.context.project_id)
    if fate == "the trust is revoked":
        _revoke_trust(cloud)
    elif fate == "the role is removed":
        _role(cloud, "DELETE", site.context)
        return lambda: _role(cloud, "PUT", site.context)
    elif fate == "the user is disabled":
        _account(cloud, "PATCH", *user, enabled=False)
        return lambda: _account(cloud, "PATCH", *user, enabled=True)
    elif fate == "the project is disabled":
        _account(cloud, "PATCH", *project, enabled=False)
        return lambda: _account(cloud, "PATCH", *project, enabled=True)
    elif fate == "the user is deleted":
        _account(cloud, "DELETE", *user)
    elif fate == "the project is deleted":
        _account(cloud, "DELETE", *project)
    return lambda: None


FATES = ["the trust is revoked", "the role is removed", "the user is disabled", "the project is disabled"]
#: These need a user who can be deleted.
DELETIONS = ["the user is deleted", "the project is deleted"]


@pytest.fixture
def owner(request, site, cloud):
    """The owner of the operation: alice, or a temporary user if the test deletes the user or project."""
    if request.node.callspec.params["fate"] in DELETIONS:
        site.context = _create_user(cloud)


def _create_user(cloud):
    admin, name = cloud.session("admin"), f"t{uuid.uuid4().hex[:8]}"
    user = {"name": name, "password": "secret", "enabled": True}
    user_id = admin.post(f"{cloud.auth_url}/users", json={"user": user}).json()["user"]["id"]
    project = {"name": name, "enabled": True}
    project_id = admin.post(f"{cloud.auth_url}/projects", json={"project": project}).json()["project"]["id"]
    context = RequestContext(user_id=user_id, project_id=project_id, roles=["member"])
    _role(cloud, "PUT", context)
    auth = v3.Password(cloud.auth_url, user_id=user_id, password="secret", project_id=project_id)
    signed_in = Session(auth=auth)
    return RequestContext(
        user_id=user_id,
        project_id=project_id,
        auth_token=signed_in.get_token(),
        roles=["member"],
        service_catalog=auth.get_access(signed_in).service_catalog.catalog,
    )


@pytest.mark.parametrize("fate", [*FATES, *DELETIONS, "there is no row"])
def test_a_lost_trust_disables_the_operation_and_fails_the_run_clearly(site, cloud, rest_api, owner, fate):
    site.schedule(trust=fate != "there is no row")
    site.due()
    undo = _lose(site, cloud, fate)
    try:
        run = site.step()
    finally:
        undo()
    assert (run.state, rest_api.posts) == ("failed", [])
    assert "trust" in run.reason
    operation = site.operation()
    assert (operation.enabled, operation.disabled_reason) == (False, run.reason)
    (entry,) = site.log()
    assert entry.error_info == f"failed: {run.reason}"
    site.clock.advance(3600)
    site.scheduler.fire()
    assert site.run().due_at == run.due_at, "a disabled operation does not run again"


def _delete_operation(site, operation):
    site.database.write(lambda session: SCHEDULED_OPERATIONS.delete(session, operation))


@pytest.mark.parametrize("fate", ["nothing happened to it", *FATES, *DELETIONS])
def test_the_trust_is_deleted_without_the_help_of_its_owner(site, cloud, owner, fate):
    """The engine only knows the owner of the operation: the caller may be another member, or an administrator."""
    operation = site.schedule()
    undo = _lose(site, cloud, fate)
    _delete_operation(site, operation)
    site.trusts.release(site.context.user_id, site.context.project_id)
    undo()
    released = [row.released_at is not None for row in site.trust_rows()]
    if released:
        assert released == [True], "the row stays as long as the trust exists in Keystone"
        with pytest.raises(TrustLost):
            site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False)
        site.trusts.sweep(0)
    assert site.trust_rows() == []
    service = cloud.session("karbor")
    url = f"{cloud.auth_url}/OS-TRUST/trusts?trustee_user_id={service.get_user_id()}"
    in_keystone = service.get(url).json()["trusts"]
    assert not [trust for trust in in_keystone if trust["trustor_user_id"] == site.context.user_id]


def test_a_trust_that_cannot_be_deleted_is_logged_and_retried(site, cloud, caplog):
    operation = site.schedule()
    (trust,) = _in_keystone(cloud)
    _delete_operation(site, operation)
    cloud.fault(service="identity", method="DELETE", path="/OS-TRUST/trusts", kind="status", status=503, times=100)
    try:
        site.trusts.release(site.context.user_id, site.context.project_id)
    finally:
        cloud.clear_faults()
    (line,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert site.context.user_id in line
    assert "cannot be deleted in Keystone" in line
    assert trust not in caplog.text, "the id of a trust is a secret"
    (row,) = site.trust_rows()
    assert row.released_at is not None
    with pytest.raises(TrustLost):
        site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False)
    site.trusts.sweep(0)
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_a_released_trust_is_not_used_again(site, cloud):
    operation = site.schedule()
    (before,) = _in_keystone(cloud)
    _delete_operation(site, operation)
    owner = site.context.user_id, site.context.project_id
    encrypted = site.database.write(lambda session: trusts.release(session, *owner))
    site.schedule()
    (after,) = _in_keystone(cloud)
    assert before != after
    site.database.write(lambda session: trusts.forget(session, *owner, encrypted))
    assert site.trusts.act_as(*owner, fresh=True), "a late release of the old trust does not affect the new one"


def test_ensuring_a_trust_waits_for_its_concurrent_release(site, cloud, waits_in_transactions):
    operation = site.schedule()
    (before,) = _in_keystone(cloud)
    _delete_operation(site, operation)
    owner = site.context.user_id, site.context.project_id
    with futures.ThreadPoolExecutor(1) as pool:
        with site.database.writer() as session:
            trusts.release(session, *owner)
            ensured = pool.submit(site.trusts.ensure, site.context)
            with pytest.raises(futures.TimeoutError):
                ensured.result(timeout=1)
            # Of this test.
            waits_in_transactions.clear()
        ensured.result()
    (after,) = _in_keystone(cloud)
    assert before != after
    assert site.trusts.act_as(*owner, fresh=True)


def test_a_trust_that_is_lost_during_a_run_fails_the_run(site, cloud, rest_api):
    site.schedule()
    site.due()
    site.step()
    _revoke_trust(cloud)
    rest_api.fault("GET", "checkpoints/", 401, times=2)
    run = site.later(FOLLOW)
    assert run.state == "failed"
    assert "revoked" in run.reason
    assert not site.operation().enabled


def test_a_refusal_by_the_api_does_not_disable_the_operation(site, rest_api):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", 401, times=2)
    assert site.step().state == "started"
    assert site.operation().enabled
    assert site.later(RETRY).checkpoint_id is not None


def test_a_broken_service_account_does_not_lose_trusts(site, cloud, tmp_path):
    site.schedule()
    site.due()
    path = Path(site.conf.config_file[0])
    password = f"password = {cloud.credentials('karbor')['password']}\n"
    assert password in path.read_text()
    spoiled = tmp_path / "spoiled.conf"
    spoiled.write_text(path.read_text().replace(password, "password = wrong\n"))
    conf = service.configure([], files=[str(spoiled)])
    spoiled_trusts = Trusts(site.database, ClientFactory(conf), Cipher.from_conf(conf))
    with pytest.raises(exception.ConfigurationError, match="service_auth"):
        spoiled_trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)


def test_an_outage_of_keystone_does_not_lose_trusts(site, cloud, rest_api):
    site.schedule()
    site.due()
    cloud.fault(service="identity", method="POST", path="/auth/tokens", kind="status", status=503, times=3)
    try:
        run = site.step()
    finally:
        cloud.clear_faults()
    assert (run.state, run.checkpoint_id) == ("started", None)
    assert "503" in run.reason
    assert site.operation().enabled
    assert site.later(RETRY).checkpoint_id in rest_api.made


def test_a_trust_that_no_longer_works_is_replaced(site, cloud):
    site.schedule()
    (before,) = _in_keystone(cloud)
    _revoke_trust(cloud)
    site.trusts.ensure(site.context)
    (after,) = _in_keystone(cloud)
    assert before != after
    site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)


def test_a_trust_is_used_for_its_user_only(site, cloud):
    site.schedule()
    bob = context_of(cloud, "bob")
    with pytest.raises(TrustLost):
        site.trusts.act_as(str(bob.user_id), str(bob.project_id), fresh=True)
