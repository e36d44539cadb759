"""A reset of the state: the bank is asked outside of a transaction, and concurrent changes are not overwritten."""

import pytest

from karbor_like import exception
from karbor_like.db import checkpoints
from tests.fixtures.endpoint import unwrap
from tests.functional.protection.site import PROVIDER, Site
from tests.functional.protection.stores import intercept


def reset(site: Site, checkpoint_id: str, state: str) -> None:
    call = {"provider_id": PROVIDER, "checkpoint_id": checkpoint_id, "state": state}
    unwrap(lambda: site.endpoint.reset_checkpoint(site.context(), **call))


def meanwhile(site: Site, work) -> None:
    """Do *work* once, when the reset is about to write to the bank."""
    left = [work]

    def before(what: str) -> None:
        if "/events/" in what and left:
            left.pop()()

    intercept(site.env.providers.get(PROVIDER).bank.store, before)


@pytest.fixture
def failed(site: Site) -> str:
    """A checkpoint whose state was reset to ``error``."""
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    reset(site, created, "error")
    assert site.checkpoint(created).reason == "reset by request"
    return created


def in_bank(site: Site, checkpoint_id: str) -> str:
    return site.env.providers.get(PROVIDER).bank.checkpoints.get(checkpoint_id).status


def test_others_write_to_the_database_while_the_bank_is_asked(site: Site, failed: str):
    written = []
    meanwhile(site, lambda: written.append(site.plan("a")))

    reset(site, failed, "available")

    assert len(written) == 1
    assert (site.checkpoint(failed).status, site.checkpoint(failed).reason) == ("available", None)
    assert in_bank(site, failed) == "available"


def test_a_deletion_that_came_between_rules(site: Site, failed: str):
    site.executor.stop(0)
    meanwhile(site, lambda: site.delete(failed))

    with pytest.raises(exception.Conflict, match="became 'deleting' meanwhile"):
        reset(site, failed, "available")

    assert site.checkpoint(failed).status == "deleting"
    assert in_bank(site, failed) == "deleting"


def test_a_state_that_was_left_and_came_back_is_another(site: Site, failed: str):
    def delete_in_vain() -> None:
        site.env.database.write(lambda session: checkpoints.move(session, failed, "deleting", ["error"]))
        site.env.database.write(lambda session: checkpoints.move(session, failed, "error", ["deleting"]))

    meanwhile(site, delete_in_vain)

    with pytest.raises(exception.Conflict, match="meanwhile"):
        reset(site, failed, "available")

    assert site.checkpoint(failed).status == "error"
