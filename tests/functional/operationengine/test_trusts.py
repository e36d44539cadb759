"""Trusts: made with a user's own token, used when nobody is logged in, lost in several ways, deleted with the last need."""

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
from tests.functional.operationengine.site import FOLLOW, RETRY, account_of, context_of


@pytest.fixture(autouse=True)
def _no_trusts(cloud):
    yield
    for user in ("alice", "bob"):
        for trust in _in_keystone(cloud, user):
            cloud.session(user).delete(f"{cloud.auth_url}/OS-TRUST/trusts/{trust}")


def _in_keystone(cloud, user="alice"):
    session = cloud.session(user)
    found = session.get(f"{cloud.auth_url}/OS-TRUST/trusts?trustor_user_id={session.get_user_id()}").json()["trusts"]
    return [trust["id"] for trust in found]


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


def test_the_trust_goes_with_the_last_operation(site, cloud):
    operations = [site.schedule() for _ in range(2)]
    owner = site.context.user_id, site.context.project_id
    for left, operation in ((1, operations[0]), (0, operations[1])):
        site.database.write(lambda session, one=operation: SCHEDULED_OPERATIONS.delete(session, one))
        site.trusts.release(*owner)
        assert (len(_in_keystone(cloud)), len(site.trust_rows())) == (left, left)


def test_a_trust_that_was_not_released_is_swept(site, cloud):
    operation = site.schedule()
    site.trusts.sweep(0)
    assert len(_in_keystone(cloud)) == 1
    site.database.write(lambda session: SCHEDULED_OPERATIONS.delete(session, operation))
    site.trusts.sweep()
    assert len(_in_keystone(cloud)) == 1, "it is young"
    site.trusts.sweep(0)
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_it_acts_as_the_user(site):
    site.schedule()
    clients = site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)
    assert clients.session.get_user_id() == site.context.user_id
    assert clients.session.get_project_id() == site.context.project_id
    assert site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False) is clients


def test_what_keystone_refuses_is_said(site, cloud):
    forged = RequestContext(
        user_id=site.context.user_id,
        project_id=site.context.project_id,
        auth_token=cloud.session("bob").get_token(),
        roles=["member"],
        service_catalog=site.context.service_catalog,
    )
    with pytest.raises(exception.NotAuthorized, match="making a trust"):
        site.trusts.ensure(forged)
    assert site.trust_rows() == []


def _account(cloud, method, kind, key, **values):
    body = {"json": {kind: values}} if values else {}
    cloud.session("admin").request(f"{cloud.auth_url}/{kind}s/{key}", method, **body)


def _lose(site, cloud, fate):
    """Let the trust stop to work. Returns what is to be done afterwards, for the others who use the cloud."""
    user, project = ("user", site.context.user_id), ("project", site.context.project_id)
    if fate == "the trust is revoked":
        _revoke_trust(cloud)
    elif fate == "the role is taken away":
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


FATES = ["the trust is revoked", "the role is taken away", "the user is disabled", "the project is disabled"]
#: Of somebody who is there for that alone.
DELETIONS = ["the user is deleted", "the project is deleted"]


@pytest.fixture
def owner(request, site, cloud):
    """Whose operation it is: alice, or somebody who may be deleted."""
    if request.node.callspec.params["fate"] in DELETIONS:
        site.context = _somebody(cloud)


def _somebody(cloud):
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
def test_whoever_deletes_the_last_operation_the_trust_goes(site, cloud, owner, fate):
    """The engine is told no more than whose operation it was: the caller may be another member, or an administrator."""
    operation = site.schedule()
    undo = _lose(site, cloud, fate)
    _delete_operation(site, operation)
    site.trusts.release(site.context.user_id, site.context.project_id)
    undo()
    left = [row.released_at is not None for row in site.trust_rows()]
    if left:
        assert left == [True], "it is on record as long as Keystone has it"
        with pytest.raises(TrustLost):
            site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False)
        site.trusts.sweep(0)
    assert site.trust_rows() == []
    service = cloud.session("karbor")
    url = f"{cloud.auth_url}/OS-TRUST/trusts?trustee_user_id={service.get_user_id()}"
    assert not [one for one in service.get(url).json()["trusts"] if one["trustor_user_id"] == site.context.user_id]


def test_a_trust_that_cannot_be_deleted_is_said_kept_on_record_and_tried_again(site, cloud, caplog):
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
    assert "is left in Keystone" in line
    assert trust not in caplog.text, "who has it can act by it"
    (row,) = site.trust_rows()
    assert row.released_at is not None
    with pytest.raises(TrustLost):
        site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=False)
    site.trusts.sweep(0)
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_a_released_trust_is_not_taken_up_again(site, cloud):
    operation = site.schedule()
    (before,) = _in_keystone(cloud)
    _delete_operation(site, operation)
    owner = site.context.user_id, site.context.project_id
    sealed = site.database.write(lambda session: trusts.release(session, *owner))
    site.schedule()
    (after,) = _in_keystone(cloud)
    assert before != after
    site.database.write(lambda session: trusts.forget(session, *owner, sealed))
    assert site.trusts.act_as(*owner, fresh=True), "whoever was late with the former one leaves the new one alone"


def test_a_trust_that_is_being_released_is_not_taken_for_one_that_stays(site, cloud):
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
        ensured.result()
    (after,) = _in_keystone(cloud)
    assert before != after
    assert site.trusts.act_as(*owner, fresh=True)


def test_a_trust_that_is_lost_in_the_middle_is_noticed(site, cloud, rest_api):
    site.schedule()
    site.due()
    site.step()
    _revoke_trust(cloud)
    rest_api.fault("GET", "checkpoints/", 401, times=2)
    run = site.later(FOLLOW)
    assert run.state == "failed"
    assert "revoked" in run.reason
    assert not site.operation().enabled


def test_the_api_refusing_alone_loses_no_trust(site, rest_api):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", 401, times=2)
    assert site.step().state == "started"
    assert site.operation().enabled
    assert site.later(RETRY).checkpoint_id is not None


def test_a_service_account_that_does_not_work_loses_nobodys_trust(site, cloud, tmp_path):
    site.schedule()
    site.due()
    path = Path(site.conf.config_file[0])
    right, wrong = account_of(cloud), account_of(cloud, password="wrong")
    spoiled = tmp_path / "spoiled.conf"
    spoiled.write_text(path.read_text().replace(right, wrong))
    conf = service.configure([], files=[str(spoiled)])
    spoiled_trusts = Trusts(site.database, ClientFactory(conf), Cipher.from_conf(conf))
    with pytest.raises(exception.ConfigurationError, match="service_auth"):
        spoiled_trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)


def test_keystone_being_away_loses_nobodys_trust(site, cloud, rest_api):
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


def test_a_trust_that_does_not_work_any_more_is_replaced(site, cloud):
    site.schedule()
    (before,) = _in_keystone(cloud)
    _revoke_trust(cloud)
    site.trusts.ensure(site.context)
    (after,) = _in_keystone(cloud)
    assert before != after
    site.trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)


def test_users_are_apart(site, cloud):
    site.schedule()
    bob = context_of(cloud, "bob")
    with pytest.raises(TrustLost):
        site.trusts.act_as(str(bob.user_id), str(bob.project_id), fresh=True)
