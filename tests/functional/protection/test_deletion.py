"""Deletions that fail halfway: they can be tried again to the end, and no site takes for whole what is not."""

from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.plugins.protection import Kind
from karbor_like.plugins.protections import streams
from tests.functional.protection import plugins
from tests.functional.protection.site import PROVIDER, Site
from tests.functional.protection.stores import intercept


class StoredNodeProtection(plugins.NodeProtection):
    """Whose deletion is that of the plugins for volumes and images."""

    operations = {**plugins.NodeProtection.operations, Kind.DELETE: streams.Delete}


@pytest.fixture
def created(site: Site) -> str:
    """An available checkpoint with something in it."""
    site.cloud.plant({"a": ["b"], "b": []})
    for name in "ab":
        site.cloud.content(name, name.encode() * 3000)
    found = site.protect("a")["id"]
    site.wait(found, "available")
    return found


def bank_of(site: Site):
    return site.env.providers.get(PROVIDER).bank


@pytest.mark.parametrize("broken", ["-available.json", "plan.json"])
def test_one_that_failed_after_its_tombstone_is_tried_again_to_the_end(
    tmp_path: Path, site: Site, created: str, broken: str
):
    path = tmp_path / "providers.d" / "test.conf"
    stored = f"{__name__}:StoredNodeProtection"
    path.write_text(path.read_text().replace(f"{plugins.__name__}:NodeProtection", stored))
    site.env.providers.load()
    bank = bank_of(site)
    seen, faulty = set(), [True]

    def before(what: str) -> None:
        seen.add(what)
        buried = any(what.startswith("put ") and what.endswith("/deleted") for what in seen)
        if faulty and buried and what.startswith("delete ") and broken in what:
            raise errors.AccessDenied("the store says no")

    intercept(bank.store, before)
    site.delete(created)
    row = site.wait(created, "error-deleting", "deleted")
    assert row.status == "error-deleting"
    assert "the store says no" in row.reason

    faulty.clear()
    site.delete(created)

    row = site.wait(created, "error-deleting", "deleted")
    assert (row.status, row.reason) == ("deleted", None)
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.get(created)
