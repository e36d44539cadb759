"""Trusts: created with a user's token, used without the user, lost in several ways, deleted when they are unused."""

import functools
import traceback
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from oslo_db import exception as db_exception

from karbor_like import exception, service
from karbor_like.clients.factory import ClientFactory
from karbor_like.context import RequestContext
from karbor_like.db import scheduled_runs, trusts
from karbor_like.db.models import ScheduledOperation
from karbor_like.db.operations import OPERATIONS
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.operationengine.trusts import TrustLost, Trusts, _unnamed
from karbor_like.secret import Cipher, new_key
from tests.functional.operationengine.site import FOLLOW, PROVIDER, RETRY, context_of


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


def _trust_of(site, operation):
    with site.database.reader() as session:
        return SCHEDULED_OPERATIONS.get(session, operation).trust_id


def _delete_operation(site, operation):
    """Delete a scheduled operation and its trust, as the API and the engine do."""
    released = site.unschedule(operation)
    if released:
        site.trusts.delete(released)


def _protect(site, **values):
    """Insert an operation of the protection service that acts by the only trust, and return its id."""
    cipher = Cipher.from_conf(site.conf)
    (row,) = site.trust_rows()
    fingerprint = cipher.fingerprints(cipher.decrypt(row.keystone_id))[0]
    columns = {
        "operation_type": "protect",
        "project_id": site.context.project_id,
        "user_id": site.context.user_id,
        "provider_id": PROVIDER,
        "status": "protecting",
        "credential": "encrypted",
        "trust_fingerprint": fingerprint,
        **values,
    }
    return site.database.write(lambda session: OPERATIONS.insert(session, **columns).id)


def test_each_operation_has_a_trust(site, cloud):
    operations = [site.schedule() for _ in range(3)]
    assert len({_trust_of(site, operation) for operation in operations}) == 3
    assert len(_in_keystone(cloud)) == 3
    stored = "".join(row.keystone_id for row in site.trust_rows())
    assert not any(trust in stored for trust in _in_keystone(cloud)), "they are stored encrypted"


def test_operations_of_an_earlier_release_share_a_trust(site, cloud):
    shared = [site.schedule(trust=False) for _ in range(2)]
    site.trusts.make(site.context, shared[0])
    values = {"trust_id": _trust_of(site, shared[0])}
    site.database.write(lambda session: SCHEDULED_OPERATIONS.update(session, shared[1], values))
    _delete_operation(site, shared[0])
    assert site.trusts.act_by(values["trust_id"], fresh=True)
    # Enabled again, the last one has a trust of its own.
    site.trusts.make(site.context, shared[1])
    assert len(_in_keystone(cloud)) == len(site.trust_rows()) == 1
    with pytest.raises(TrustLost):
        site.trusts.act_by(values["trust_id"], fresh=True)


def test_a_trust_lives_as_long_as_an_operation_has_its_credential(site, cloud):
    operation = site.schedule()
    of_the_run = _protect(site)
    _protect(site, trust_fingerprint="of another trust")
    _delete_operation(site, operation)
    # The run ended, and left something behind in the cloud.
    values = {"queue_state": "done"}
    site.database.write(lambda session: OPERATIONS.update(session, of_the_run, values))
    site.trusts.sweep()
    assert len(_in_keystone(cloud)) == 1
    site.database.write(lambda session: OPERATIONS.update(session, of_the_run, {"credential": None}))
    site.trusts.sweep()
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_an_operation_of_an_earlier_release_keeps_the_trusts_of_its_user(site, cloud):
    operation = site.schedule()
    _protect(site, trust_fingerprint=trusts.UNKNOWN, user_id="another")
    earlier = _protect(site, trust_fingerprint=trusts.UNKNOWN)
    _delete_operation(site, operation)
    assert len(_in_keystone(cloud)) == 1
    site.database.write(lambda session: OPERATIONS.update(session, earlier, {"credential": None}))
    site.trusts.sweep()
    assert _in_keystone(cloud) == []


def test_a_trust_does_not_outlive_its_bound(site, cloud):
    operation = site.schedule()
    _protect(site)
    _delete_operation(site, operation)
    (row,) = site.trust_rows()
    long_ago = {"released_at": row.released_at - timedelta(days=91)}
    site.database.write(lambda session: trusts.TRUSTS.update(session, row.id, long_ago))
    site.trusts.sweep()
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_a_trust_is_not_deleted_during_a_step_that_acts_by_it(site, cloud):
    operation = site.schedule()
    site.due()
    now = site.clock.now()
    (claimed,) = site.database.write(lambda session: scheduled_runs.claim(session, "here", now, 60, 10))
    _delete_operation(site, operation)
    assert site.trusts.act_by(claimed.trust_id, fresh=True)
    # The step ends; the next one finds that the operation was deleted.
    site.database.write(lambda session: scheduled_runs.release(session, claimed, now))
    site.trusts.sweep()
    assert _in_keystone(cloud) == []
    assert site.step().state == "failed"


def test_a_run_continues_by_a_new_trust(site, cloud, rest_api):
    operation = site.schedule()
    site.due()
    now = site.clock.now()
    (claimed,) = site.database.write(lambda session: scheduled_runs.claim(session, "another", now, 0, 10))
    _revoke_trust(cloud)
    site.trusts.make(site.context, operation)
    # The slow engine that still has the former trust neither disables the operation nor fails its run.
    site.runner._process(claimed)
    assert (site.run().state, site.operation().enabled) == ("started", True)
    assert site.later(RETRY).checkpoint_id in rest_api.made


def test_a_trust_whose_creator_died_is_found_and_deleted(site, cloud):
    operation = site.schedule()

    def die(connection, cursor, statement, parameters, context, many):
        if statement.startswith("UPDATE schedule_trusts"):
            raise db_exception.DBError

    # The row of the trust is never updated after the creation in Keystone.
    sa.event.listen(site.database.engine, "before_cursor_execute", die)
    with pytest.raises(db_exception.DBError):
        site.trusts.make(site.context, operation)
    sa.event.remove(site.database.engine, "before_cursor_execute", die)
    assert len(_in_keystone(cloud)) == 2
    site.trusts.sweep()
    assert len(_in_keystone(cloud)) == 2, "its creator may be alive"
    (row,) = [row for row in site.trust_rows() if row.keystone_id is None]
    site.database.write(lambda session: trusts.postpone(session, row.id, 0))
    site.trusts.sweep()
    assert len(_in_keystone(cloud)) == len(site.trust_rows()) == 1
    assert site.trusts.act_by(_trust_of(site, operation), fresh=True)


def test_a_trust_whose_creation_was_not_answered_is_found_and_deleted(site, cloud):
    operation = site.schedule(trust=False)
    cloud.fault(service="identity", method="POST", path="/OS-TRUST/trusts", kind="status", status=503, times=1)
    with pytest.raises(exception.Unavailable):
        site.trusts.make(site.context, operation)
    (row,) = site.trust_rows()
    site.database.write(lambda session: trusts.postpone(session, row.id, 0))
    site.trusts.sweep()
    assert site.trust_rows() == []


def test_a_trust_for_a_deleted_operation_is_deleted(site, cloud):
    operation = site.schedule(trust=False)
    site.unschedule(operation)
    with pytest.raises(exception.ScheduledOperationNotFound):
        site.trusts.make(site.context, operation)
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_a_delegate_with_redelegation_gives_away_what_it_has(site, cloud):
    alice, bob = cloud.session("alice"), cloud.session("bob")
    values = {
        "trustor_user_id": alice.get_user_id(),
        "trustee_user_id": bob.get_user_id(),
        "project_id": alice.get_project_id(),
        "impersonation": True,
        "allow_redelegation": True,
        "roles": [{"name": "member"}],
    }
    created = alice.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": values}).json()["trust"]
    account = cloud.credentials("bob")
    del account["project_name"], account["project_domain_id"]
    delegate = Session(auth=v3.Password(**account, trust_id=created["id"]))
    context = context_of(delegate, trust_id=created["id"], trustee_id=bob.get_user_id())
    operation = site.schedule(trust=False)
    site.trusts.make(context, operation)
    assert site.trusts.act_by(_trust_of(site, operation), fresh=True).session.get_user_id() == alice.get_user_id()
    # It ends with the delegation.
    alice.delete(f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}")
    with pytest.raises(TrustLost):
        site.trusts.act_by(_trust_of(site, operation), fresh=True)


def test_the_engine_acts_as_the_user(site):
    trust_id = _trust_of(site, site.schedule())
    clients = site.trusts.act_by(trust_id, fresh=True)
    assert clients.session.get_user_id() == site.context.user_id
    assert clients.session.get_project_id() == site.context.project_id
    assert site.trusts.act_by(trust_id, fresh=False) is clients


def test_a_refusal_by_keystone_is_reported(site, cloud):
    forged = RequestContext(
        user_id=site.context.user_id,
        project_id=site.context.project_id,
        auth_token=cloud.session("bob").get_token(),
        roles=["member"],
        service_catalog=site.context.service_catalog,
    )
    with pytest.raises(exception.NotAuthorized, match="creating a trust"):
        site.trusts.make(forged, site.schedule(trust=False))
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
    return context_of(Session(auth=auth))


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


@pytest.mark.parametrize("fate", ["nothing happened to it", *FATES, *DELETIONS])
def test_the_trust_is_deleted_without_the_help_of_its_owner(site, cloud, owner, fate):
    """The engine only knows the owner of the operation: the caller may be another member, or an administrator."""
    operation = site.schedule()
    undo = _lose(site, cloud, fate)
    _delete_operation(site, operation)
    undo()
    for row in site.trust_rows():
        assert row.released_at is not None, "the row stays as long as the trust exists in Keystone"
        site.database.write(functools.partial(trusts.postpone, trust_id=row.id, seconds=0))
    site.trusts.sweep()
    assert site.trust_rows() == []
    service = cloud.session("karbor")
    url = f"{cloud.auth_url}/OS-TRUST/trusts?trustee_user_id={service.get_user_id()}"
    in_keystone = service.get(url).json()["trusts"]
    assert not [trust for trust in in_keystone if trust["trustor_user_id"] == site.context.user_id]


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "cut", "where": "request"}])
def test_a_trust_that_cannot_be_deleted_is_logged_and_retried(site, cloud, caplog, fault):
    operation = site.schedule()
    (trust,) = _in_keystone(cloud)
    cloud.fault(service="identity", method="DELETE", path="/OS-TRUST/trusts", times=100, **fault)
    try:
        _delete_operation(site, operation)
    finally:
        cloud.clear_faults()
    (line,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert site.context.user_id in line
    assert "cannot be deleted in Keystone" in line
    ours = [record for record in caplog.records if record.name.startswith("karbor_like.operationengine.")]
    assert not [line for line in map(caplog.handler.format, ours) if trust in line], "the id of a trust is a secret"
    (row,) = site.trust_rows()
    site.trusts.sweep()
    assert _in_keystone(cloud) == [trust], "not before an hour has passed"
    site.database.write(lambda session: trusts.postpone(session, row.id, 0))
    site.trusts.sweep()
    assert (_in_keystone(cloud), site.trust_rows()) == ([], [])


def test_an_error_about_a_trust_loses_only_its_id():
    trust_id = uuid.uuid4().hex
    error = exception.Unavailable(f"DELETE /OS-TRUST/trusts/{trust_id}: try again later")
    error.retry_after = 7.0
    with pytest.raises(exception.Unavailable, match="try again later") as caught, _unnamed(trust_id):
        raise error from ValueError(trust_id)
    assert caught.value.retry_after == 7.0
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    assert not [text for text in shown if trust_id in text]


def test_a_trust_that_cannot_be_decrypted_does_not_stop_the_others(site, cloud, caplog):
    operations = [site.schedule() for _ in range(2)]
    broken, released = (site.unschedule(operation) for operation in operations)
    text = Cipher([new_key()]).encrypt("a trust")
    site.database.write(lambda session: trusts.TRUSTS.update(session, broken, {"keystone_id": text}))
    for _ in range(2):
        site.trusts.sweep()
    assert [row.id for row in site.trust_rows()] == [broken]
    assert caplog.text.count("[secret] keys") == 1
    assert released not in caplog.text


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
    operation = site.schedule()
    site.due()
    path = Path(site.conf.config_file[0])
    password = f"password = {cloud.credentials('karbor')['password']}\n"
    assert password in path.read_text()
    spoiled = tmp_path / "spoiled.conf"
    spoiled.write_text(path.read_text().replace(password, "password = wrong\n"))
    conf = service.configure([], files=[str(spoiled)])
    spoiled_trusts = Trusts(site.database, ClientFactory(conf), Cipher.from_conf(conf), pause=0)
    with pytest.raises(exception.ConfigurationError, match="service_auth"):
        spoiled_trusts.act_by(_trust_of(site, operation), fresh=True)


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
    operation = site.schedule()
    (before,) = _in_keystone(cloud)
    _revoke_trust(cloud)
    site.trusts.make(site.context, operation)
    (after,) = _in_keystone(cloud)
    assert before != after
    site.trusts.act_by(_trust_of(site, operation), fresh=True)


def test_trusts_of_a_lost_database_are_found_and_deleted(site, cloud):
    known, lost = (site.schedule() for _ in range(2))
    trust_id = _trust_of(site, lost)
    assert site.trusts.unknown() == []
    assert len(_in_keystone(cloud)) == 2

    _delete_rows(site, trust_id)
    (found,) = site.trusts.unknown()
    assert (found.user_id, found.project_id) == (site.context.user_id, site.context.project_id)
    assert site.trusts.delete_unknown(found)
    assert (len(_in_keystone(cloud)), site.trusts.unknown()) == (1, [])
    assert site.trusts.act_by(_trust_of(site, known), fresh=True)
    assert not site.trusts.delete_unknown(found), "it does not exist any more"


def test_trusts_that_are_not_of_schedules_are_not_found(site, cloud):
    """Heat, and tenants, may choose the service user as the trustee as well."""
    alice = cloud.session("alice")
    trust = {
        "trustor_user_id": alice.get_user_id(),
        "trustee_user_id": cloud.session("karbor").get_user_id(),
        "project_id": alice.get_project_id(),
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    for expires_at in (None, "2099-01-01T00:00:00.000000Z"):
        alice.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": {**trust, "expires_at": expires_at}})
    assert len(_in_keystone(cloud)) == 2
    assert site.trusts.unknown() == []


def _delete_rows(site, trust_id):
    """Lose a trust and its schedule, as with the database."""

    def write(session):
        session.execute(
            sa.update(ScheduledOperation).values(trust_id=None).where(ScheduledOperation.trust_id == trust_id)
        )
        trusts.TRUSTS.delete(session, trust_id)

    site.database.write(write)
