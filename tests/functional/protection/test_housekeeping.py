"""The index follows the bank, lost requests fail, and what is due is done once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.db import checkpoints, jobs
from karbor_like.db.models import Checkpoint, PeriodicJob
from karbor_like.db.restores import RESTORES
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.protection.sync import Sync, SyncReport
from tests.functional.protection.site import PROJECT, PROVIDER, Site, running, until, write_files


@pytest.fixture
def other(tmp_path: Path, files: Path):
    """A second site: its own database, the same bank."""
    path = write_files(tmp_path, host="there", database=f"sqlite:///{tmp_path}/there.sqlite")
    with running(Site(tmp_path, path)) as found:
        yield found


def sync(site: Site) -> SyncReport:
    return Sync(site.env.database, site.env.providers.get(PROVIDER)).run()


def test_what_another_site_protected_can_be_listed_and_restored(site: Site, other: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a", extra_info={"n": 1})
    mine = site.wait(created["id"], "available")

    assert sync(other) == SyncReport(added=1)
    assert sync(other) == SyncReport()

    row = other.checkpoint(created["id"])
    for column in sorted(name.key for name in Checkpoint.__table__.columns):
        if column != "updated_at":
            assert getattr(row, column) == getattr(mine, column), column
    assert other.wait_done(restore_id=other.restore(created["id"])).status == "success"


def test_what_another_site_deleted_is_deleted(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    sync(other)
    # Listings may lag, so a young row is not looked for.
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    other.env.database.write(lambda session: checkpoints.CHECKPOINTS.update(session, created, {"created_at": long_ago}))
    site.delete(created)
    site.wait(created, "deleted")

    assert sync(other) == SyncReport(deleted=1)
    assert other.checkpoint(created).status == "deleted"
    assert other.checkpoint(created).deleted_at is not None


def test_one_that_is_being_made_elsewhere_is_followed_until_it_is_settled(site: Site, other: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "wait"})
    created = site.protect("a")["id"]
    until(site.cloud.calls, lambda calls: "protect:main:a:begin" in calls, 30, "main of a")
    assert sync(other) == SyncReport(added=1)
    assert other.checkpoint(created).status == "protecting"
    with pytest.raises(exception.Conflict):
        other.restore(created)

    (site.cloud.path / "go").touch()
    site.wait(created, "available")

    assert sync(other) == SyncReport(changed=1)
    assert other.checkpoint(created).status == "available"


def test_the_index_leaves_alone_what_is_being_worked_on(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "wait"})
    created = site.protect("a")["id"]
    assert sync(site) == SyncReport()
    (site.cloud.path / "go").touch()
    site.wait(created, "available")
    assert sync(site) == SyncReport()


def test_an_unreadable_checkpoint_does_not_stop_the_others(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = [site.protect("a")["id"] for _ in range(2)]
    for checkpoint_id in created:
        site.wait(checkpoint_id, "available")
    site.env.providers.get(PROVIDER).bank.store.put(f"checkpoints/{created[0]}/plan.json", b"garbage")

    assert sync(other) == SyncReport(added=1, unreadable=1)


def test_every_job_is_done_when_it_is_due_by_one_of_many(site: Site):
    site.cloud.plant({"a": []})
    housekeepers = [Housekeeping(site.env), Housekeeping(site.env)]
    for housekeeper in housekeepers:
        housekeeper._look()
    with site.env.database.reader() as session:
        rows = session.execute(sa.select(PeriodicJob)).scalars().all()
    assert {row.name for row in rows} == {"lost requests", f"sync {PROVIDER}", f"collect {PROVIDER}"}
    assert not site.env.database.write(lambda session: jobs.take(session, f"sync {PROVIDER}", "me", 10))


def test_a_restore_whose_call_got_lost_fails(site: Site):
    values = {"project_id": PROJECT, "provider_id": PROVIDER, "checkpoint_id": "c", "parameters": {}}
    old = datetime.now(UTC) - timedelta(hours=2)
    lost = site.env.database.write(lambda session: RESTORES.insert(session, created_at=old, **values)).id
    fresh = site.env.database.write(lambda session: RESTORES.insert(session, **values)).id

    Housekeeping(site.env)._look()

    assert (site.restored(lost).status, site.restored(fresh).status) == ("fail", "in_progress")
    assert "make it again" in str(site.restored(lost).reason)
