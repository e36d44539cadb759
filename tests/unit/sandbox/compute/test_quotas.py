"""Quotas of Nova."""

import pytest

from tests.unit.sandbox.compute.conftest import Caller

PATH = "os-quota-sets/{}"


def test_limits_and_use(alice: Caller, admin: Caller, bob: Caller) -> None:
    project = str(alice.identity.project_id)
    path = PATH.format(project)
    admin.ok("PUT", path, {"quota_set": {"instances": 2, "cores": 1}})
    assert alice.ok("GET", path)["quota_set"]["instances"] == 2
    first = alice.boot()
    found = alice.ok("GET", f"{path}/detail")["quota_set"]
    assert (found["id"], found["instances"]) == (project, {"limit": 2, "in_use": 1, "reserved": 0})
    assert (found["cores"]["in_use"], found["ram"]["in_use"]) == (1, 512)
    assert alice.cannot_boot() == (
        403,
        "Quota exceeded for cores: Requested 1, but already used 1 of 1 cores",
    )
    assert admin.refused("PUT", path, {"quota_set": {"instances": 0}})[0] == 400
    admin.ok("PUT", path, {"quota_set": {"instances": 0, "force": True}})
    admin.ok("PUT", path, {"quota_set": {"instances": -1, "cores": -1}})
    assert alice.boot()["id"] != first["id"]


@pytest.mark.parametrize("more", ["", "/detail"])
def test_quotas_are_the_projects_own(alice: Caller, bob: Caller, more: str) -> None:
    path = PATH.format(alice.identity.project_id)
    assert bob.refused("GET", path + more)[0] == 403
    assert alice.refused("PUT", path, {"quota_set": {"instances": 5}})[0] == 403
