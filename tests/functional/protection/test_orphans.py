"""Objects that cannot be deleted from the cloud: the result of the operation stays, and their deletion is retried."""

import dataclasses
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.db import operations
from karbor_like.db import session as db_session
from karbor_like.db.models import JournalEntry, Operation
from karbor_like.protection import runner
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.protection.orphans import OrphanReport, Orphans
from karbor_like.protection.takeover import Takeover
from karbor_like.sandbox.cloud import Sandbox
from tests.functional.protection import plugins
from tests.functional.protection.site import LEASE, PROJECT, PROVIDER, Site


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A service whose operations run when the test says so, on a clock that only sleeping moves."""
    found = Site(tmp_path, files)
    found.env = dataclasses.replace(found.env, clock=ManualClock())
    yield found
    found.close()


def run(site: Site) -> None:
    """Run the operation that is due."""
    (claim,) = Takeover(site.env, LEASE).claim(1, ())
    assert runner.run(site.env, claim)


def protect(site: Site, project_id: str = PROJECT, **faults: str) -> str:
    """Run a protect of one node with these faults. Return the id of the checkpoint."""
    site.cloud.plant({"a": []})
    site.cloud.fault(**faults)
    plan_id = site.plan("a", project_id=project_id)
    created = site.protect(context=site.context(project_id), plan_id=plan_id)["id"]
    run(site)
    return created


def age(site: Site, operation_id: str, **time: float) -> None:
    """Let an operation have ended this long ago, and its next attempt be due."""

    def write(session) -> None:
        now = db_session.now(session)
        values = {"ended_at": now - timedelta(**time), "lease_until": now - timedelta(seconds=1)}
        operations.OPERATIONS.update(session, operation_id, values)

    site.env.database.write(write)


def orphans(site: Site) -> OrphanReport:
    return Orphans(site.env, PROVIDER).run()


def pause(site: Site, operation_id: str) -> timedelta:
    """The time until the next attempt."""
    with site.env.database.reader() as session:
        until = operations.OPERATIONS.get(session, operation_id).lease_until
        assert until is not None
        return until - db_session.now(session)


def of(site: Site, checkpoint_id: str) -> Operation:
    return site.operation(checkpoint_id=checkpoint_id)


def test_a_backup_is_kept_although_a_temporary_object_is_stuck(site: Site):
    created = protect(site, **{"release:a": "fail"})

    row = site.checkpoint(created)
    assert row.status == "available"
    (thing,) = site.things()
    assert row.reason == f"left behind: thing id-{thing} of {plugins.NODE}#a"
    log = of(site, created)
    assert (log.status, log.queue_state, log.error_info) == ("available", "done", row.reason)
    resource = site.resources(checkpoint_id=created)["a"]
    assert (resource.status, resource.reason) == ("available", "the thing of a is stuck")
    assert log.credential is not None, "it is needed for the next attempts"


def test_a_stuck_object_is_deleted_as_soon_as_the_cloud_allows_it(site: Site):
    created = protect(site, **{"release:a": "fail"})
    operation_id = of(site, created).id

    assert orphans(site) == OrphanReport(remaining=1)
    assert site.checkpoint(created).reason is not None
    assert timedelta(minutes=59) < pause(site, operation_id) <= timedelta(minutes=60)
    assert orphans(site) == OrphanReport(), "not due yet"

    site.cloud.fault()
    age(site, operation_id, hours=1)
    assert orphans(site) == OrphanReport(deleted=1)

    assert site.things() == []
    assert "protect:cleanup:a" not in site.cloud.calls(), "only temporary objects are deleted after a success"
    row, log = site.checkpoint(created), of(site, created)
    assert (row.status, row.reason, log.error_info) == ("available", None, None)
    assert (log.credential, log.lease_until) == (None, None)
    assert orphans(site) == OrphanReport()


def test_the_pauses_grow_with_the_age(site: Site):
    operation_id = of(site, protect(site, **{"release:a": "fail"})).id
    age(site, operation_id, days=10)
    assert orphans(site) == OrphanReport(remaining=1)
    assert timedelta(hours=23) < pause(site, operation_id) < timedelta(hours=25)


def test_what_a_failed_operation_left_is_deleted_too(site: Site):
    created = protect(site, **{"main:a": "fail", "cleanup:a": "fail"})
    row = site.checkpoint(created)
    assert (row.status, len(site.things())) == ("error", 1)
    assert "main:a; left behind: thing" in row.reason
    assert site.env.clock.monotonic() == 36, "the pauses before the clean-up was repeated"

    site.cloud.fault()
    assert orphans(site) == OrphanReport(deleted=1)

    assert site.things() == []
    row = site.checkpoint(created)
    assert (row.status, row.reason) == (
        "error",
        f"{plugins.NODE}#a (name of a): step of main: the cloud says no to main:a",
    )
    assert of(site, created).error_info == row.reason


def test_a_bug_in_a_clean_up_is_retried_later(site: Site):
    created = protect(site, **{"main:a": "fail", "cleanup:a": "bug"})
    assert site.checkpoint(created).status == "error"
    assert orphans(site) == OrphanReport(remaining=1)


def test_the_attempts_end(site: Site, caplog: pytest.LogCaptureFixture):
    created = protect(site, **{"release:a": "fail"})
    age(site, of(site, created).id, days=site.conf.protection.orphan_days, seconds=1)
    with caplog.at_level(logging.ERROR):
        # A service that has not loaded the operation's provider.
        assert Orphans(site.env, "another").run() == OrphanReport(given_up=1)
    (thing,) = site.things()
    assert f"delete it manually: left behind: thing id-{thing}" in caplog.text
    log = of(site, created)
    assert (log.credential, log.lease_until) == (None, None)
    assert site.checkpoint(created).reason is not None
    assert orphans(site) == OrphanReport()


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("keystone")) as sandbox:
        yield sandbox


def test_what_nobody_may_delete_any_more_is_named(site: Site, keystone: Sandbox, caplog: pytest.LogCaptureFixture):
    protect(site, **{"release:a": "fail"})
    site.cloud.fault()
    site.use_service_user(keystone)
    assert orphans(site) == OrphanReport(remaining=1)
    (thing,) = site.things()
    (line,) = [record.message for record in caplog.records if "cannot take its place" in record.message]
    assert PROJECT in line
    assert f"delete manually: thing id-{thing} of" in line


def test_the_service_user_deletes_what_its_owner_cannot_any_more(site: Site, keystone: Sandbox):
    project = keystone.session("alice").get_project_id()
    admin, user = keystone.session("admin"), keystone.session("karbor").get_user_id()
    (member,) = admin.get(f"{keystone.auth_url}/roles?name=member").json()["roles"]
    admin.put(f"{keystone.auth_url}/projects/{project}/users/{user}/roles/{member['id']}")
    created = protect(site, project, **{"release:a": "fail"})
    site.cloud.fault()
    site.use_service_user(keystone)
    assert orphans(site) == OrphanReport(deleted=1)
    assert site.things() == []
    assert of(site, created).credential is None


def test_the_trust_of_an_operation_is_recognized(site: Site):
    site.cloud.plant({"a": []})
    contexts = (site.context(), site.context(trust_id="a trust", trustee_id="another"))
    plain, of_trust = (site.protect("a", context=context)["id"] for context in contexts)
    assert of(site, plain).trust_fingerprint is None
    assert of(site, of_trust).trust_fingerprint in site.env.cipher.fingerprints("a trust")


def test_nothing_is_attempted_that_kills_processes(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "fail", "cleanup:a": "fail"})
    created = site.protect("a")["id"]
    operation_id = of(site, created).id
    run(site)
    row = of(site, created)
    limit = site.conf.protection.max_attempts
    values = {"queue_state": "queued", "attempts": 2 * limit, "lease_until": None}
    site.env.database.write(lambda session: operations.OPERATIONS.update(session, operation_id, values))
    run(site)
    row = of(site, created)
    assert (row.queue_state, row.credential, row.lease_until) == ("done", None, None)


def test_without_an_interval_no_credential_is_kept(site: Site):
    site.conf.set_override("orphan_interval", 0, "protection")
    log = of(site, protect(site, **{"release:a": "fail"}))
    assert log.error_info is not None
    assert (log.credential, log.lease_until) == (None, None)


def test_another_attempt_fences_the_first(site: Site):
    operation_id = of(site, protect(site, **{"release:a": "fail"})).id
    with site.env.database.reader() as session:
        (row,) = operations.with_orphans(session, 10)
    write = site.env.database.write
    first = write(lambda session: operations.claim_ended(session, row, "me", 0))
    assert write(lambda session: operations.claim_ended(session, row, "you", 60)) is None, "it has changed"
    with site.env.database.reader() as session:
        (row,) = operations.with_orphans(session, 10)
    assert write(lambda session: operations.claim_ended(session, row, "you", 60))
    assert not write(lambda session: operations.postpone_ended(session, first, 0))
    assert not write(lambda session: operations.forget_ended(session, first))
    with pytest.raises(exception.LeaseLost):
        write(lambda session: operations.check(session, first))
    assert row.id == operation_id


def test_what_a_dead_process_created_too_late_is_deleted(site: Site):
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    operation_id = of(site, created).id
    write = site.env.database.write
    write(lambda session: operations.OPERATIONS.update(session, operation_id, {"attempts": 1}))
    run(site)
    log = of(site, created)
    assert (log.status, log.error_info, site.things()) == ("available", None, [])
    assert log.credential is not None
    assert timedelta(minutes=59) < pause(site, operation_id) <= timedelta(minutes=60)

    with site.env.database.reader() as session:
        name = session.execute(
            sa.select(JournalEntry.name).where(JournalEntry.operation_id == operation_id)
        ).scalar_one()
    (site.cloud.things / name).touch()
    age(site, operation_id, hours=1)
    assert orphans(site) == OrphanReport(deleted=1)

    assert site.things() == []
    log = of(site, created)
    assert (log.credential, log.lease_until, log.error_info) == (None, None, None)


def test_housekeeping_deletes_orphans(site: Site, caplog: pytest.LogCaptureFixture):
    protect(site, **{"release:a": "fail"})
    site.cloud.fault()
    with caplog.at_level(logging.INFO):
        Housekeeping(site.env).run_due()
    assert site.things() == []
    assert "left in the cloud: OrphanReport(deleted=1, remaining=0, given_up=0)" in caplog.text
