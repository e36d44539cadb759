"""Which status transitions are made, and which are refused."""

from pathlib import Path
from typing import Any

import pytest

from karbor_like.db import changes, operations
from karbor_like.db.models import Checkpoint, base
from karbor_like.domain import states
from karbor_like.protection.operation import lifecycle, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.rpc import notifications
from tests.functional.protection.site import Site


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    return site


@pytest.fixture
def protecting(site: Site) -> Checkpoint:
    return site.checkpoint(site.protect("a")["id"])


def move(site: Site, row: Checkpoint, status: str, **values: Any) -> bool:
    return site.env.database.write(lambda session: lifecycle.move_checkpoint(session, row.id, status, **values))


def test_a_transition_of_the_table_is_made(site: Site, protecting: Checkpoint):
    assert move(site, protecting, states.ERROR, reason="the cloud said no")
    row = site.checkpoint(protecting.id)
    assert (row.status, row.reason) == (states.ERROR, "the cloud said no")


def test_any_other_transition_is_refused(site: Site, protecting: Checkpoint):
    assert not move(site, protecting, states.DELETED)
    assert site.checkpoint(protecting.id).status == states.PROTECTING


def test_the_status_of_the_bank_is_taken_unless_the_row_has_changed(site: Site, protecting: Checkpoint):
    def follow(status: str) -> bool:
        return site.env.database.write(lambda session: lifecycle.follow_bank(session, protecting, status, reason=None))

    assert follow(states.DELETED)
    assert site.checkpoint(protecting.id).deleted_at is not None
    assert not follow(states.AVAILABLE)
    assert site.checkpoint(protecting.id).status == states.DELETED


def test_a_reason_that_is_too_long_is_cut_wherever_it_is_shown(site: Site, protecting: Checkpoint):
    clock, row = site.env.clock, site.operation(checkpoint_id=protecting.id)
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 60))
    assert claim is not None
    loaded, _, _ = spec.load(site.env.database, claim)
    reported: list[changes.Change] = []
    changes.watch(site.env.database, reported.extend)

    reasons = ["x" * base.MAX_REASON, "another"]
    lifecycle.finish(site.env, loaded, ActiveClaim(claim, clock, clock.monotonic(), 60), reasons, done=False)

    shown = [notifications.status_change(change, clock.now()).reason for change in reported]
    shown += [site.checkpoint(protecting.id).reason, site.operation(checkpoint_id=protecting.id).error_info]
    assert shown == reasons[:1] * 3
