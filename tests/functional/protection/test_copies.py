"""Checkpoints copied to another provider's bank, through the endpoint, the queue, TaskFlow and both banks."""

import base64
import os
import shutil
import threading
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.db import checkpoints
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.protection.sync import Sync, SyncReport
from tests.fixtures.endpoint import unwrap
from tests.functional.protection import plugins
from tests.functional.protection.site import (
    OTHER_PROVIDER,
    PROVIDER,
    Site,
    running,
    until,
    write_files,
    write_provider,
)
from tests.functional.protection.stores import intercept

OTHER = "q" * 32
KIB = 1024


def write_other(directory: Path) -> Path:
    """The provider that copies go to, whose bank is encrypted."""
    path = write_provider(directory, OTHER_PROVIDER, "other", "other-bank")
    key = base64.b64encode(b"k" * 32).decode()
    path.write_text(path.read_text().replace("encryption = false", f"master_keys = m:{key}"))
    return path


@pytest.fixture
def pair(site: Site, tmp_path: Path) -> Site:
    """A running service with two providers, and nodes with something in them."""
    write_other(tmp_path)
    site.env.providers.load()
    site.cloud.plant({"a": ["b"], "b": []})
    for name in "ab":
        site.cloud.content(name, os.urandom(300 * KIB) + bytes(300 * KIB))
    return site


def protected(site: Site, plan_id: str, **arguments) -> str:
    """An available checkpoint."""
    created = site.protect(plan_id=plan_id, **arguments)["id"]
    assert site.wait(created, "available", "error").status == "available"
    return created


def copied(site: Site, plan_id: str, **arguments) -> dict[str, str]:
    """Copies that are finished, by their sources."""
    made = site.copy(plan_id, **arguments)
    for copy_id in made.values():
        row = site.wait(copy_id, "available", "error")
        assert (row.status, row.reason) == ("available", None)
    return made


def bank_of(site: Site, provider_id: str):
    return site.env.providers.get(provider_id).bank


def no_leases(site: Site, provider_id: str) -> bool:
    """Return whether all leases of a bank were released."""
    return all(lease.released for lease in bank_of(site, provider_id).leases.list())


def count(site: Site, model) -> int:
    with site.env.database.reader() as session:
        return session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()


def test_a_copy_is_a_checkpoint_of_the_other_provider(pair: Site, tmp_path: Path):
    plan_id = pair.plan("a")
    own = {"label": "before the upgrade", "created_by": "operation-engine", "scheduled_operation_id": "s", "attempt": 0}
    source = pair.checkpoint(protected(pair, plan_id, extra_info=own))

    answer = pair.copy_answer(plan_id)
    (copy_id,) = [one["checkpoint_copy_id"] for one in answer["checkpoint_id"]]
    assert answer == {
        "project_id": source.project_id,
        "provider_id": PROVIDER,
        "target_provider_id": OTHER_PROVIDER,
        "plan_id": plan_id,
        "checkpoint_id": [{"checkpoint_protect_id": source.id, "checkpoint_copy_id": copy_id}],
        "parameters": {},
    }

    row = pair.wait(copy_id, "available", "error")
    assert (row.status, row.reason, row.provider_id, row.plan_id) == ("available", None, OTHER_PROVIDER, plan_id)
    assert row.plan == {**source.plan, "provider_id": OTHER_PROVIDER}
    assert row.resource_graph == source.resource_graph
    assert row.extra_info == {
        "label": "before the upgrade",
        "created_by": "copy",
        "copy_status": "finished",
        "source_checkpoint_id": source.id,
        "source_provider_id": PROVIDER,
        "source_created_at": source.created_at.isoformat(),
    }
    assert row.logical_bytes == 2 * 600 * KIB
    assert row.new_bytes >= 2 * 300 * KIB
    log = pair.operation(checkpoint_id=copy_id)
    assert (log.operation_type, log.status, log.source_checkpoint_id) == ("copy", "available", source.id)
    assert (log.plan_id, log.scheduled_operation_id, log.credential) == (plan_id, None, None)
    for resource in pair.resources(checkpoint_id=copy_id).values():
        assert (resource.bytes_done, resource.bytes_total, resource.status) == (600 * KIB, 600 * KIB, "available")
    assert [call for call in pair.cloud.calls() if call.startswith("copy:")][-1] in ("copy:a:end", "copy:b:end")
    assert until(lambda: all(no_leases(pair, one) for one in (PROVIDER, OTHER_PROVIDER)), bool, 10, "leases")

    shutil.rmtree(tmp_path / "bank")
    verification_id = pair.verify(copy_id, OTHER_PROVIDER)
    assert pair.wait_done(verification_id=verification_id).status == "success"
    assert pair.wait_done(restore_id=pair.restore(copy_id, provider_id=OTHER_PROVIDER)).status == "success"
    restored = {path.read_bytes() for path in pair.cloud.things.iterdir()}
    assert restored == {(pair.cloud.path / f"content {name}").read_bytes() for name in "ab"}
    pair.delete(copy_id, OTHER_PROVIDER)
    assert pair.wait(copy_id, "deleted", "error-deleting").status == "deleted"


def test_only_what_is_not_copied_yet_is_copied_and_only_what_changed_is_stored(pair: Site):
    plan_id = pair.plan("a")
    first, second = protected(pair, plan_id), protected(pair, plan_id)
    made = pair.copy(plan_id)
    assert list(made) == [first, second], "oldest first"
    # Waiting and running copies count as copied.
    assert pair.copy(plan_id) == {}
    rows = [pair.wait(copy_id, "available", "error") for copy_id in made.values()]
    assert [row.status for row in rows] == ["available", "available"]
    assert rows[0].new_bytes > 0
    assert rows[1].new_bytes == 0, "the second one waited for the first one, and was stored against it"

    content = (pair.cloud.path / "content b").read_bytes()
    pair.cloud.content("b", os.urandom(128 * KIB) + content[128 * KIB :])
    third = protected(pair, plan_id)
    (copy_id,) = copied(pair, plan_id).values()
    assert pair.checkpoint(copy_id).new_bytes == 128 * KIB
    assert pair.copy(plan_id) == {}
    assert list(copied(pair, plan_id, checkpoint_ids=[third])) == [third], "what is named is copied again"

    # A deleted or failed copy does not count.
    pair.delete(made[first], OTHER_PROVIDER)
    pair.wait(made[first], "deleted")
    assert list(copied(pair, plan_id)) == [first]


def test_the_provider_s_file_says_where_copies_go(pair: Site, tmp_path: Path):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id)
    with pytest.raises(exception.InvalidInput, match="copy_to.*give a target_provider_id"):
        pair.copy(plan_id, target_provider_id=None)
    path = tmp_path / "providers.d" / "test.conf"
    path.write_text(path.read_text().replace("name = test", f"name = test\ncopy_to = {OTHER_PROVIDER}"))
    pair.env.providers.load()
    assert list(copied(pair, plan_id, target_provider_id=None)) == [created]


def test_the_same_request_has_the_same_answer(pair: Site):
    plan_id, request = pair.plan("a"), str(uuid.uuid4())
    protected(pair, plan_id)
    first = pair.copy_answer(plan_id, copy_id=request)
    protected(pair, plan_id)
    assert pair.copy_answer(plan_id, copy_id=request) == first
    (pairs,) = first["checkpoint_id"]
    pair.wait(pairs["checkpoint_copy_id"], "available")
    pair.delete(pairs["checkpoint_copy_id"], OTHER_PROVIDER)
    pair.wait(pairs["checkpoint_copy_id"], "deleted")
    assert pair.copy_answer(plan_id, copy_id=request) == first


def test_two_requests_at_once_copy_once(pair: Site):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(pair.copy(plan_id))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(list, answers)) == [[], [], [], [created]]


def test_a_copy_takes_the_plan_s_parameters_and_the_request_s(pair: Site):
    plan_id = pair.plan("a", parameters={plugins.NODE: {"size": 1, "restore_name": "x"}})
    protected(pair, plan_id)
    other = f"{plugins.NODE}#{uuid.uuid4()}"
    (copy_id,) = copied(pair, plan_id, parameters={plugins.NODE: {"size": 2}, other: {}}).values()
    parameters = pair.operation(checkpoint_id=copy_id).parameters["parameters"]
    assert parameters == {plugins.NODE: {"size": 2, "restore_name": "x"}, other: {}}


# What is refused


def refused(site: Site, error: type[Exception], match: str, *arguments, **more) -> None:
    rows = count(site, Checkpoint), count(site, Operation)
    with pytest.raises(error, match=match):
        site.copy(*arguments, **more)
    assert (count(site, Checkpoint), count(site, Operation)) == rows


def test_what_cannot_be_copied(pair: Site):
    plan_id = pair.plan("a")
    refused(pair, exception.InvalidInput, "has no checkpoint", plan_id)
    created = protected(pair, plan_id)
    unknown = str(uuid.uuid4())
    refused(pair, exception.PlanNotFound, unknown, unknown)
    refused(pair, exception.PlanNotFound, plan_id, plan_id, project_id=OTHER)
    refused(pair, exception.InvalidInput, "is for provider", plan_id, provider_id=OTHER_PROVIDER)
    refused(pair, exception.ProviderNotFound, unknown, plan_id, target_provider_id=unknown)
    refused(pair, exception.InvalidInput, "is the provider that has", plan_id, target_provider_id=PROVIDER)
    refused(pair, exception.CheckpointNotFound, unknown, plan_id, checkpoint_ids=[created, unknown])
    other_plan = pair.plan("b")
    foreign = protected(pair, other_plan)
    refused(pair, exception.CheckpointNotFound, foreign, plan_id, checkpoint_ids=[foreign])
    pair.conf.set_override("checkpoints", 2, group="quota")
    refused(pair, exception.OverQuota, "limit 2, in use 2, requested 1", plan_id)
    pair.conf.clear_override("checkpoints", group="quota")
    reset(pair, created, "error")
    refused(pair, exception.Conflict, "is 'error'; only an available one", plan_id, checkpoint_ids=[created])
    assert pair.copy(plan_id) == {}
    pair.delete(created)
    pair.wait(created, "deleted")
    refused(pair, exception.InvalidInput, "has no checkpoint", plan_id)


def reset(site: Site, checkpoint_id: str, state: str) -> None:
    unwrap(
        lambda: site.endpoint.reset_checkpoint(
            site.context(), provider_id=PROVIDER, checkpoint_id=checkpoint_id, state=state
        )
    )


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("karbor_like.plugins.noop:NoopProtection", "cannot copy resources of type Test::Node"),
        (f"{__name__}:AnotherNodeProtection", "has another plugin for Test::Node"),
    ],
)
def test_a_target_that_could_not_restore_it(pair: Site, tmp_path: Path, plugin: str, message: str):
    plan_id = pair.plan("a")
    protected(pair, plan_id)
    path = tmp_path / "providers.d" / "other.conf"
    path.write_text(path.read_text().replace(f"{plugins.__name__}:NodeProtection", plugin))
    pair.env.providers.load()
    refused(pair, exception.Unsupported, message, plan_id)


class AnotherNodeProtection(plugins.NodeProtection):
    """Understands what it wrote itself."""


def test_a_type_that_its_plugin_does_not_copy(pair: Site):
    pair.cloud.plant({"g": []})
    plan_id = pair.plan("g")
    protected(pair, plan_id)
    refused(pair, exception.Unsupported, "cannot copy resources of type Test::Group", plan_id)


def test_what_is_being_copied_is_in_use(pair: Site):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id)
    pair.cloud.fault(**{"copy:a": "wait"})
    made = pair.copy(plan_id)
    pair.wait(made[created], "copying")
    for call in (lambda: pair.delete(created), lambda: reset(pair, created, "error")):
        with pytest.raises(exception.InUse, match=f"a running copy to checkpoint {made[created]}"):
            call()
    with pair.env.database.reader() as session:
        assert checkpoints.in_use(session, [created]) == {created: "copy is running"}
    (pair.cloud.path / "go").touch()
    pair.wait(made[created], "available")
    pair.delete(created)
    assert pair.wait(created, "deleted", "error-deleting").status == "deleted"


# What goes wrong


def cancel(site: Site, checkpoint_id: str) -> None:
    operation_id = site.operation(checkpoint_id=checkpoint_id).id
    unwrap(lambda: site.endpoint.cancel(site.context(), operation_id=operation_id))


def left_of(site: Site, copy_id: str) -> list[str]:
    """Keys of what resources keep in the bank for a copy."""
    prefix = f"checkpoints/{copy_id}/resources/"
    return [info.key for info in bank_of(site, OTHER_PROVIDER).store.list(prefix)]


def test_a_copy_is_cancelled_and_so_is_one_that_waits_for_it(pair: Site):
    plan_id = pair.plan("a")
    first, second = protected(pair, plan_id), protected(pair, plan_id)
    pair.cloud.fault(**{"copied:b": "wait"})
    made = pair.copy(plan_id)
    until(pair.cloud.calls, lambda calls: "copy:b:begin" in calls, 30, "the first copy")
    pair.wait(made[first], "copying")
    assert pair.checkpoint(made[second]).status == "wait_copying"
    assert pair.operation(checkpoint_id=made[second]).status == "wait_copying"

    cancel(pair, made[second])
    row = pair.wait(made[second], "available", "error")
    assert (row.status, row.reason) == ("error", "cancelled")
    cancel(pair, made[first])
    row = pair.wait(made[first], "available", "error")
    assert (row.status, row.reason) == ("error", "cancelled")

    assert left_of(pair, made[first]) == left_of(pair, made[second]) == []
    assert "copy_status" not in row.extra_info
    assert bank_of(pair, OTHER_PROVIDER).checkpoints.get(made[first]).status == "error"
    pair.cloud.fault()
    assert list(copied(pair, plan_id)) == [first, second], "what was cancelled is not copied"


def test_a_damaged_source_fails_the_copy_which_names_it(pair: Site, tmp_path: Path):
    plan_id = pair.plan("b")
    created = protected(pair, plan_id)
    (pack,) = [path for path in (tmp_path / "bank").rglob("*") if path.is_file() and "packs" in path.parts]
    raw = bytearray(pack.read_bytes())
    raw[1000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(raw)

    (copy_id,) = pair.copy(plan_id).values()
    row = pair.wait(copy_id, "available", "error")

    assert row.status == "error"
    assert f"copying from the other bank: reading checkpoint {created}: data/" in row.reason
    assert pack.name in row.reason
    assert pair.resources(checkpoint_id=copy_id)["b"].status == "error"
    assert left_of(pair, copy_id) == []


@pytest.mark.parametrize(
    ("pattern", "step"),
    [
        ("leases/", ""),
        ("plan.json", ""),
        ("/packs/", f"{plugins.NODE}#b (name of b): copying from the other bank: "),
        ("-available.json", ""),
    ],
)
def test_a_target_that_takes_nothing_is_an_error_and_the_next_request_copies_again(pair: Site, pattern: str, step: str):
    error = errors.BankFull("no room")
    plan_id = pair.plan("b")
    created = protected(pair, plan_id)
    broken = True

    def refuse(what: str) -> None:
        if broken and what.startswith("put ") and pattern in what:
            raise error

    intercept(bank_of(pair, OTHER_PROVIDER).store, refuse)

    (copy_id,) = pair.copy(plan_id).values()
    row = pair.wait(copy_id, "available", "error")

    assert (row.status, row.reason) == ("error", f"{step}{error.public}")
    broken = False
    assert left_of(pair, copy_id) == []
    assert until(lambda: all(no_leases(pair, one) for one in (PROVIDER, OTHER_PROVIDER)), bool, 10, "leases")
    assert list(copied(pair, plan_id)) == [created]


def test_a_source_that_is_not_loaded_is_said(pair: Site, tmp_path: Path):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id)
    pair.cloud.fault(**{"copy:b": "wait"})
    pair.copy(plan_id)
    until(pair.cloud.calls, lambda calls: "copy:b:begin" in calls, 30, "the first copy")
    copy_id = pair.copy(plan_id, checkpoint_ids=[created])[created]
    (tmp_path / "providers.d" / "test.conf").unlink()
    pair.env.providers.load()
    (pair.cloud.path / "go").touch()
    row = pair.wait(copy_id, "available", "error")
    assert row.status == "error"
    assert f"provider {PROVIDER}, which has the checkpoint" in row.reason
    assert "is not loaded at here" in row.reason


def test_a_source_that_its_bank_lost(pair: Site):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id)
    bank_of(pair, PROVIDER).checkpoints.delete(created)
    (copy_id,) = pair.copy(plan_id).values()
    row = pair.wait(copy_id, "available", "error")
    assert row.status == "error"
    assert f"there is no checkpoint {created} in the bank" in row.reason
    assert not list(bank_of(pair, OTHER_PROVIDER).store.list(f"checkpoints/{copy_id}/"))


# Who else sees it


def test_another_site_shows_the_copy_as_it_is(pair: Site, tmp_path: Path):
    plan_id = pair.plan("a")
    protected(pair, plan_id)
    pair.cloud.fault(**{"copied:b": "wait"})
    (copy_id,) = pair.copy(plan_id).values()
    until(pair.cloud.calls, lambda calls: "copy:b:begin" in calls, 30, "the copy")
    path = write_files(tmp_path, host="there", database=f"sqlite:///{tmp_path}/there.sqlite")
    with running(Site(tmp_path, path)) as there:

        def sync() -> SyncReport:
            return Sync(there.env.database, there.env.providers.get(OTHER_PROVIDER)).run()

        assert sync() == SyncReport(added=1)
        assert there.checkpoint(copy_id).status == "copying"
        (pair.cloud.path / "go").touch()
        mine = pair.wait(copy_id, "available")
        assert sync() == SyncReport(changed=1)
        theirs = there.checkpoint(copy_id)
        assert theirs.status == "available"
        for name in ("extra_info", "plan", "logical_bytes", "new_bytes", "stored_bytes", "created_at"):
            assert getattr(theirs, name) == getattr(mine, name), name
        assert theirs.extra_info["copy_status"] == "finished"
        assert there.wait_done(restore_id=there.restore(copy_id, provider_id=OTHER_PROVIDER)).status == "success"


def test_retention_of_the_plan_does_not_know_its_copies(pair: Site):
    plan_id = pair.plan("a")
    created = protected(pair, plan_id, extra_info={"created_by": "operation-engine", "due_at": "now"})
    (copy_id,) = copied(pair, plan_id).values()

    def listed(provider_id: str) -> list[str]:
        with pair.env.database.reader() as session:
            rows = checkpoints.page(session, provider_id, filters={"plan_id": plan_id, "status": "available"})
            return [row.id for row in rows]

    # What the operation engine asks for before it decides what is old, and to find a checkpoint it has begun.
    assert listed(PROVIDER) == [created]
    assert listed(OTHER_PROVIDER) == [copy_id]
    assert "due_at" not in pair.checkpoint(copy_id).extra_info
    with pair.env.database.reader() as session:
        project_id = pair.checkpoint(created).project_id
        found = checkpoints.available_of_plan(session, PROVIDER, project_id, plan_id)
        assert [row.id for row in found] == [created]


def test_what_is_shown(pair: Site):
    plan_id = pair.plan("a")
    protected(pair, plan_id)
    (copy_id,) = copied(pair, plan_id).values()
    row = pair.checkpoint(copy_id)
    assert row.extra_info["copy_status"] == "finished"
    assert row.plan["provider_id"] == OTHER_PROVIDER
