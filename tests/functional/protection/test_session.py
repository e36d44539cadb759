"""The resources that an operation holds while a process runs it are released."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from karbor_like.db import operations
from karbor_like.protection import runner
from karbor_like.protection.operation import spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.takeover import Takeover
from karbor_like.sandbox.cloud import Sandbox
from tests.functional.protection.site import LEASE, PROVIDER, Site, running


def test_a_lease_is_released_if_the_database_fails_after_its_acquisition(
    tmp_path: Path, files: Path, waits_in_transactions: list[str]
):
    with running(Site(tmp_path, files)) as first:
        first.cloud.plant({"a": []})
        first.wait(first.protect("a")["id"], "available")

    site = Site(tmp_path, files)
    leases = site.env.providers.get(PROVIDER).bank.leases

    def standing() -> list[str]:
        return [lease.id for lease in leases.list() if not lease.released]

    row = site.operation(checkpoint_id=site.protect("a")["id"])
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 60))
    assert claim is not None
    loaded, encrypted, _ = spec.load(site.env.database, claim)
    active = ActiveClaim(claim, site.env.clock, site.env.clock.monotonic(), 60)

    def fail(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "FROM checkpoints" in statement and standing():
            raise db_exception.DBDataError("the database cannot read it")

    with OperationSession(site.env, loaded, active, encrypted) as operation:
        sa.event.listen(site.env.database.engine, "before_cursor_execute", fail)
        with pytest.raises(db_exception.DBDataError):
            operation.lease.check()
        sa.event.remove(site.env.database.engine, "before_cursor_execute", fail)
        assert standing() == []
        operation.lease.check()
        assert len(standing()) == 1
    assert standing() == []
    site.close()
    # Of the fault, which asks the bank.
    waits_in_transactions.clear()


def test_a_deletion_sees_the_other_checkpoints_of_its_resource(tmp_path: Path, files: Path) -> None:
    with running(Site(tmp_path, files)) as first:
        first.cloud.plant({"a": ["c"], "b": [], "c": []})
        oldest, deleted, newest, _ = (
            first.wait(first.protect(name)["id"], "available").id for name in ("a", "a", "a", "b")
        )
    site = Site(tmp_path, files)
    site.delete(deleted)
    row = site.operation(checkpoint_id=deleted)
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 60))
    assert claim is not None
    loaded, encrypted, _ = spec.load(site.env.database, claim)
    active = ActiveClaim(claim, site.env.clock, site.env.clock.monotonic(), 60)
    child, resource = loaded.graph.nodes
    with OperationSession(site.env, loaded, active, encrypted) as operation:
        context = operation.hook_context(resource, operation.progress(resource))
        assert [section.checkpoint_id for section in context.others] == [newest, oldest]
        assert "service" not in vars(operation), "the service user is not asked for before a plugin does"
        assert context.service is operation.service
        assert context.siblings == [child]
    site.close()


def test_an_operation_outlasts_a_keystone_that_restarts(tmp_path: Path, files: Path) -> None:
    """Whether the service user is the trustee of a trust, only Keystone knows."""
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    created = site.protect("a", context=site.context(trust_id="a trust", trustee_id="another"))["id"]
    clock = ManualClock()
    site.env = dataclasses.replace(site.env, clock=clock, waiter=Waiter(clock))
    with Sandbox(tmp_path / "keystone") as keystone:
        site.use_service_user(keystone)
        fault = keystone.fault(service="identity", method="POST", path="/auth/tokens", times=2)
        (claim,) = Takeover(site.env, LEASE).claim(1, ())
        assert runner.run(site.env, claim)
        assert [each["struck"] for each in keystone.faults() if each["id"] == fault] == [2]
    assert (site.checkpoint(created).status, site.checkpoint(created).reason) == ("available", None)
    site.close()
