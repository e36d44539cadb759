"""Trusts: made with a user's own token, used when nobody is logged in, lost in several ways, deleted with the last need."""

from pathlib import Path

import pytest

from karbor_like import exception, service
from karbor_like.clients.factory import ClientFactory
from karbor_like.context import RequestContext
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


@pytest.mark.parametrize("fate", ["the trust is revoked", "the role is taken away", "there is no row"])
def test_a_lost_trust_disables_the_operation_and_fails_the_run_clearly(site, cloud, rest_api, fate):
    site.schedule(trust=fate != "there is no row")
    site.due()
    if fate == "the trust is revoked":
        _revoke_trust(cloud)
    elif fate == "the role is taken away":
        _role(cloud, "DELETE", site.context)
    try:
        run = site.step()
    finally:
        _role(cloud, "PUT", site.context)
    assert (run.state, rest_api.posts) == ("failed", [])
    assert "trust" in run.reason
    operation = site.operation()
    assert (operation.enabled, operation.disabled_reason) == (False, run.reason)
    (entry,) = site.log()
    assert entry.error_info == f"failed: {run.reason}"
    site.clock.advance(3600)
    site.scheduler.fire()
    assert site.run().due_at == run.due_at, "a disabled operation does not run again"


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
    trusts = Trusts(site.database, ClientFactory(conf), Cipher.from_conf(conf))
    with pytest.raises(exception.ConfigurationError, match="service_auth"):
        trusts.act_as(site.context.user_id, site.context.project_id, fresh=True)


def test_keystone_being_away_loses_nobodys_trust(site, cloud, rest_api):
    site.schedule()
    site.due()
    cloud.fault(service="identity", method="POST", path="/auth/tokens", kind="error", status=503, times=3)
    try:
        run = site.step()
    finally:
        cloud.clear_faults()
    assert run.state == "started"
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
