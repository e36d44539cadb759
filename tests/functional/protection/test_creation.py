"""The call that requests a checkpoint creates it in the bank. What fails there is recorded by the holder of the operation."""

from collections.abc import Callable

import pytest

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.db import operations
from tests.functional.protection.site import PROVIDER, Site


def take_over(site: Site) -> operations.Claim:
    """Let another service take over the newest operation, as if its lease had expired."""
    row = site.operation()
    claim = site.env.database.write(lambda session: operations.claim(session, row, "another", 60))
    assert claim is not None
    return claim


def test_a_checkpoint_that_another_process_took_over_is_not_failed(idle: Site, monkeypatch: pytest.MonkeyPatch):
    bank = idle.env.providers.get(PROVIDER).bank
    claims = []

    def put(key: str, data: bytes, real: Callable[..., None] = bank.store.put) -> None:
        real(key, data)
        if "plan.json" in key:
            claims.append(take_over(idle))
            raise errors.BankFull("no room")

    monkeypatch.setattr(bank.store, "put", put)

    created = idle.protect("a")

    assert len(claims) == 1
    assert created["status"] == idle.checkpoint(created["id"]).status == "protecting"
    assert bank.checkpoints.get(created["id"]).status == "protecting"
    assert (idle.operation().owner, idle.operation().queue_state) == ("another", "running")


def test_a_checkpoint_that_no_other_process_took_over_has_failed_everywhere(
    idle: Site, monkeypatch: pytest.MonkeyPatch
):
    bank = idle.env.providers.get(PROVIDER).bank

    def put(key: str, data: bytes, real: Callable[..., None] = bank.store.put) -> None:
        real(key, data)
        if "plan.json" in key:
            raise errors.BankFull("no room")

    monkeypatch.setattr(bank.store, "put", put)

    with pytest.raises(exception.Unavailable, match="is full"):
        idle.protect("a")

    created = idle.operation().checkpoint_id
    assert idle.checkpoint(created).status == bank.checkpoints.get(created).status == "error"
