"""Requests that are refused with a clear error and leave no rows."""

import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.db.restores import RESTORES
from tests.fixtures.endpoint import unwrap
from tests.functional.protection import plugins
from tests.functional.protection.site import PROJECT, PROVIDER, Site
from tests.functional.protection.stores import intercept

OTHER = "q" * 32


@pytest.fixture
def tree(site: Site) -> Site:
    site.cloud.plant({"a": [], "g": ["a"]})
    return site


def nothing_is_left(site: Site) -> None:
    with site.env.database.reader() as session:
        for model in (Checkpoint, Operation):
            assert session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one() == 0
        assert session.execute(sa.text("select count(*) from logbooks")).scalar_one() == 0
    assert not list(site.env.providers.get(PROVIDER).bank.checkpoints.ids())


def test_an_unknown_provider(tree: Site):
    provider_id = str(uuid.uuid4())
    with pytest.raises(exception.ProviderNotFound):
        tree.protect(plan_id=tree.plan("a", provider_id=provider_id), provider_id=provider_id)
    nothing_is_left(tree)


def test_an_unknown_plan(tree: Site):
    with pytest.raises(exception.PlanNotFound):
        tree.protect(plan_id=str(uuid.uuid4()))
    nothing_is_left(tree)


def test_a_foreign_plan_is_not_found(tree: Site):
    with pytest.raises(exception.PlanNotFound):
        tree.protect(plan_id=tree.plan("a", project_id=OTHER))
    nothing_is_left(tree)


def test_a_plan_of_another_provider(tree: Site):
    plan_id = tree.plan("a", provider_id=str(uuid.uuid4()))
    with pytest.raises(exception.InvalidInput, match="is for provider"):
        tree.protect(plan_id=plan_id)
    nothing_is_left(tree)


def test_a_plan_without_resources(tree: Site):
    with pytest.raises(exception.InvalidInput, match="no resources"):
        tree.protect(plan_id=tree.plan())
    nothing_is_left(tree)


def test_a_resource_that_does_not_exist(tree: Site):
    with pytest.raises(exception.ResourceNotFound, match="there is no Test::Node z"):
        tree.protect("a", "z")
    nothing_is_left(tree)


def test_a_type_that_nobody_knows(tree: Site):
    plan_id = tree.plan(resources=[{"type": "OS::Nothing", "id": "x", "name": "x"}])
    with pytest.raises(exception.UnknownResourceType, match="OS::Nothing"):
        tree.protect(plan_id=plan_id)
    nothing_is_left(tree)


def test_a_circle(tree: Site):
    tree.cloud.plant({"a": ["b"], "b": ["a"]})
    with pytest.raises(exception.InvalidInput, match="circle"):
        tree.protect("a")
    nothing_is_left(tree)


def test_a_type_that_the_provider_does_not_protect(tmp_path: Path, tree: Site):
    path = tmp_path / "providers.d" / "test.conf"
    text = path.read_text()
    path.write_text("\n".join(line for line in text.splitlines() if "GroupProtection" not in line))
    tree.env.providers.load()

    with pytest.raises(exception.Unsupported, match="cannot protect resources of type Test::Group"):
        tree.protect("g")
    nothing_is_left(tree)


def test_over_the_quota(tree: Site):
    tree.conf.set_override("checkpoints", 1, group="quota")
    tree.wait(tree.protect("a")["id"], "available")
    with pytest.raises(exception.OverQuota):
        tree.protect("a")


def test_the_same_checkpoint_twice_is_one(tree: Site):
    wanted, plan_id = str(uuid.uuid4()), tree.plan("a")
    first = tree.protect(plan_id=plan_id, checkpoint_id=wanted)
    again = tree.protect(plan_id=plan_id, checkpoint_id=wanted)
    assert first["id"] == again["id"] == wanted
    tree.wait(wanted, "available")
    with tree.env.database.reader() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(Operation)).scalar_one() == 1


@pytest.fixture
def full(site: Site) -> Callable[[str], None]:
    """Make the bank full for keys that contain a text."""

    def fill(pattern: str) -> None:
        def before(what: str) -> None:
            if what.startswith("put ") and pattern in what:
                raise errors.BankFull(f"no room for {what}")

        intercept(site.env.providers.get(PROVIDER).bank.store, before)

    return fill


@pytest.mark.parametrize("pattern", ["leases/", "plan.json"])
def test_a_bank_without_room_is_said_at_once_and_the_checkpoint_says_why(tree: Site, full, pattern: str):
    full(pattern)
    wanted = str(uuid.uuid4())
    with pytest.raises(exception.Unavailable, match="is full"):
        tree.protect("a", checkpoint_id=wanted)
    row = tree.checkpoint(wanted)
    assert row.status == "error"
    assert row.reason is not None
    assert row.reason.startswith("the checkpoint could not be created: the bank of the provider is full")
    assert tree.operation(checkpoint_id=wanted).queue_state == "done"


@pytest.mark.parametrize("pattern", ["writers/", "events/", "indices/"])
def test_a_bank_that_is_full_when_the_operation_starts_fails_the_checkpoint(tree: Site, full, pattern: str):
    full(pattern)
    row = tree.wait(tree.protect("a")["id"], "available", "error")
    assert row.status == "error"
    assert "the bank of the provider is full" in str(row.reason)


def test_a_bank_that_gets_full_fails_the_checkpoint_and_nothing_is_left_in_the_cloud(tree: Site, full):
    tree.cloud.fault(**{"main:a": "wait"})
    created = tree.protect("a")["id"]
    full("available")
    (tree.cloud.path / "go").touch()

    row = tree.wait(created, "available", "error")

    assert row.status == "error"
    assert "the bank of the provider is full" in str(row.reason)
    assert tree.things() == []


def test_a_checkpoint_that_is_being_created_can_be_neither_restored_nor_reset(tree: Site):
    tree.cloud.fault(**{"main:a": "wait"})
    created = tree.protect("a")["id"]
    with pytest.raises(exception.CheckpointNotAvailable, match="'protecting'"):
        tree.restore(created)
    with pytest.raises(exception.WrongState, match="'protecting'"):
        reset(tree, created, "error")
    (tree.cloud.path / "go").touch()
    assert tree.wait(created, "available", "error").status == "available"


def test_deleting_a_checkpoint_that_is_being_created_cancels_it(tree: Site):
    tree.cloud.fault(**{"main:a": "wait"})
    created = tree.protect("a")["id"]
    tree.delete(created)
    assert tree.wait(created, "available", "error").reason == "cancelled"
    assert tree.operation(checkpoint_id=created).operation_type == "protect"


def reset(site: Site, checkpoint_id: str, state: str) -> None:
    unwrap(
        lambda: site.endpoint.reset_checkpoint(
            site.context(), provider_id=PROVIDER, checkpoint_id=checkpoint_id, state=state
        )
    )


def test_a_checkpoint_that_is_being_restored_is_not_deleted(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    tree.cloud.fault(**{"main:a": "wait"})
    restore_id = tree.restore(created)
    with pytest.raises(exception.InUse, match="restore"):
        tree.delete(created)
    (tree.cloud.path / "go").touch()
    assert tree.wait_done(restore_id=restore_id).status == "success"


def test_reset(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    bank = tree.env.providers.get(PROVIDER).bank

    reset(tree, created, "error")
    assert (tree.checkpoint(created).status, bank.checkpoints.get(created).status) == ("error", "error")
    with pytest.raises(exception.CheckpointNotAvailable, match="is 'error', not 'available'"):
        tree.restore(created)
    reset(tree, created, "available")
    assert (tree.checkpoint(created).status, bank.checkpoints.get(created).status) == ("available", "available")
    assert tree.wait_done(restore_id=tree.restore(created)).status == "success"


def test_one_that_was_never_completed_cannot_be_made_available(tree: Site):
    tree.cloud.fault(**{"main:a": "fail"})
    created = tree.protect("a")["id"]
    tree.wait(created, "error")
    with pytest.raises(exception.Conflict, match="never completed"):
        reset(tree, created, "available")
    assert tree.checkpoint(created).status == "error"


def test_a_foreign_checkpoint_is_not_found(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    bob = tree.context(OTHER)
    call = {"provider_id": PROVIDER, "checkpoint_id": created}
    for ask in (
        lambda: tree.endpoint.delete_checkpoint(bob, **call),
        lambda: tree.endpoint.reset_checkpoint(bob, state="error", **call),
        lambda: tree.endpoint.verify(bob, verification_id=str(uuid.uuid4()), parameters={}, **call),
        lambda: tree.endpoint.protect(bob, plan_id=tree.plan("a"), extra_info={}, **call),
    ):
        with pytest.raises(exception.NotFound):
            unwrap(ask)
    with pytest.raises(exception.OperationLogNotFound):
        unwrap(lambda: tree.endpoint.cancel(bob, operation_id=tree.operation(checkpoint_id=created).id))


def requests(site: Site) -> tuple[int, int]:
    """Count the restores and their operations."""
    with site.env.database.reader() as session:
        operations_ = sa.select(sa.func.count()).select_from(Operation).where(Operation.restore_id.is_not(None))
        return RESTORES.count(session), session.execute(operations_).scalar_one()


def test_the_same_restore_twice_is_one(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    restore_id = tree.restore(created)
    assert tree.wait_done(restore_id=restore_id).status == "success"
    reset(tree, created, "error")
    # A repeat is answered with what exists, and is not checked again.
    assert tree.restore(created, {"OS::Nothing": {"x": 1}}, restore_id=restore_id) == restore_id
    assert (tree.restored(restore_id).status, requests(tree)) == ("success", (1, 1))


def test_concurrent_repeats_of_a_restore_are_one(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    restore_id = str(uuid.uuid4())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tree.restore(created, restore_id=restore_id), range(4)))
    assert (set(answers), requests(tree)) == ({restore_id}, (1, 1))


def test_a_refused_restore_leaves_nothing(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    for refused in (
        lambda: tree.restore(str(uuid.uuid4())),
        lambda: tree.restore(created, provider_id=str(uuid.uuid4())),
        lambda: tree.restore(created, {plugins.NODE: {"sise": 1}}),
        lambda: tree.restore(created, restore_target="http://elsewhere/v3"),
    ):
        with pytest.raises(exception.KarborLikeError):
            refused()
    assert requests(tree) == (0, 0)


def test_a_restore_elsewhere_needs_a_credential(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    with pytest.raises(exception.InvalidInput, match="needs a restore_auth"):
        tree.restore(created, restore_target="http://elsewhere/v3")


@pytest.mark.parametrize("name", ["a", "z"])
def test_an_administrator_protects_with_a_token_of_the_plan_s_project(tree: Site, name: str):
    """Resources are looked up in the project of the token. There they would belong to another tenant."""
    plan_id = tree.plan(name)
    with pytest.raises(exception.NotAuthorized, match=f"belongs to project {PROJECT}: use a token for that project"):
        tree.protect(plan_id=plan_id, context=tree.context(OTHER, is_admin=True))
    nothing_is_left(tree)


def test_an_administrator_with_a_token_of_the_plan_s_project(tree: Site):
    admin = tree.context(PROJECT, is_admin=True)
    created = tree.protect("a", context=admin)["id"]
    assert tree.wait(created, "available").project_id == PROJECT


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"OS::Nothing": {}}, "restore.parameters.OS::Nothing: 'OS::Nothing' is not one of "),
        ({plugins.NODE: {"sise": 1}}, "restore.parameters.Test::Node.sise: is not an option of Test::Node"),
        ({plugins.NODE: {"size": "big"}}, "restore.parameters.Test::Node.size: 'big' is not of type 'integer'"),
        ({f"{plugins.NODE}#a": {"size": 1}}, "'a' after # is not an id of"),
        ({f"{plugins.NODE}#{uuid.UUID(int=1)}": {"size": 1.5}}, "1.5 is not of type 'integer'"),
    ],
)
def test_wrong_parameters_of_a_restore(tree: Site, parameters, message):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    with pytest.raises(exception.InvalidInput, match=re.escape(message)):
        tree.restore(created, parameters)


def test_nulls_and_empty_texts_are_parameters_not_given(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    parameters = {plugins.GROUP: {"x": None}, plugins.NODE: {"size": None, "restore_name": ""}}
    assert tree.wait_done(restore_id=tree.restore(created, parameters)).status == "success"


def test_a_restore_of_what_is_not_there(tree: Site):
    with pytest.raises(exception.CheckpointNotFound):
        tree.restore(str(uuid.uuid4()))


def test_a_cancel_of_what_has_ended(tree: Site):
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    with pytest.raises(exception.Conflict, match="has ended"):
        unwrap(lambda: tree.endpoint.cancel(tree.context(), operation_id=tree.operation(checkpoint_id=created).id))


def test_a_restore_without_its_lease_says_so_only_if_data_is_missing(tree: Site, full):
    tree.cloud.content("a", b"x" * 3000)
    created = tree.protect("a")["id"]
    tree.wait(created, "available")
    full("leases/")
    done = tree.wait_done(restore_id=tree.restore(created))
    assert (done.status, done.error_info) == ("success", None)

    store = tree.env.providers.get(PROVIDER).bank.store
    for info in store.list("data/"):
        store.delete(info.key)
    failed = tree.wait_done(restore_id=tree.restore(created))
    assert failed.status == "fail"
    assert re.search("this pack is missing.*did not take the lease of this reader: .* is full", str(failed.error_info))
