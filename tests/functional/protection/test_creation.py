"""The call that asks for a checkpoint creates it in the bank; what fails there, and who may say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.db import operations
from tests.functional.protection.site import PROVIDER, Site
from tests.functional.protection.stores import intercept


@pytest.fixture
def idle(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A service that takes calls and runs nothing."""
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    yield site
    site.close()


def take_over(site: Site) -> operations.Claim:
    """Another service finds the lease of the newest operation run out."""
    row = site.operation()
    claim = site.env.database.write(lambda session: operations.claim(session, row, "another", 60))
    assert claim is not None
    return claim


def test_a_checkpoint_that_another_process_makes_by_now_is_not_failed(idle: Site):
    bank = idle.env.providers.get(PROVIDER).bank
    claims = []

    def before(what: str) -> None:
        if "indices/" in what:
            claims.append(take_over(idle))
            raise errors.BankFull("no room")

    intercept(bank.store, before)

    created = idle.protect("a")

    assert len(claims) == 1
    assert created["status"] == idle.checkpoint(created["id"]).status == "protecting"
    assert bank.checkpoints.get(created["id"]).status == "protecting"
    assert (idle.operation().owner, idle.operation().queue_state) == ("another", "running")


def test_one_that_nobody_else_makes_has_failed_everywhere(idle: Site):
    bank = idle.env.providers.get(PROVIDER).bank

    def before(what: str) -> None:
        if "indices/" in what:
            raise errors.BankFull("no room")

    intercept(bank.store, before)

    with pytest.raises(exception.Unavailable, match="no room"):
        idle.protect("a")

    created = idle.operation().checkpoint_id
    assert idle.checkpoint(created).status == bank.checkpoints.get(created).status == "error"
