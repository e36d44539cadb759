"""Server groups."""

from tests.unit.sandbox.compute.conftest import Caller, Values

NOWHERE = "4c9c0000-0000-4000-8000-000000000000"


def group(caller: Caller, version: str = "2.96", **values: object) -> Values:
    return caller.ok("POST", "os-server-groups", {"server_group": values}, version=version)["server_group"]


def test_members_of_a_group(alice: Caller) -> None:
    made = group(alice, name="g", policy="anti-affinity", rules={"max_server_per_host": 2})
    hints = {"group": made["id"]}
    one, two, three = (alice.boot(hints=hints) for _ in range(3))
    assert [each["status"] for each in (one, two, three)] == ["ACTIVE", "ACTIVE", "ERROR"]
    assert three["fault"]["message"].startswith("No valid host was found.")
    assert one["server_groups"] == [made["id"]]
    assert "server_groups" not in alice.server(one["id"], "2.70")
    assert "server_groups" not in alice.servers()[0]
    assert alice.boot()["server_groups"] == []
    path = f"os-server-groups/{made['id']}"
    assert alice.ok("GET", path)["server_group"]["members"] == [one["id"], two["id"]]
    alice.ok("DELETE", f"servers/{one['id']}")
    assert alice.ok("GET", path)["server_group"]["members"] == [two["id"]]
    assert alice.boot(hints={"group": [made["id"]]})["status"] == "ACTIVE"
    alice.ok("DELETE", path)
    assert alice.server(two["id"])["server_groups"] == []


def test_policies_by_microversion(alice: Caller) -> None:
    owner = {"project_id": alice.identity.project_id, "user_id": alice.identity.user_id}
    new = group(alice, name="g", policy="affinity")
    assert new == {"id": new["id"], "name": "g", "policy": "affinity", "rules": {}, "members": [], **owner}
    old = group(alice, "2.63", name="g", policies=["soft-affinity"])
    assert old == {
        "id": old["id"],
        "name": "g",
        "policies": ["soft-affinity"],
        "metadata": {},
        "members": [],
        **owner,
    }
    assert "project_id" not in group(alice, "2.12", name="g", policies=["affinity"])
    for version, values in (
        ("2.96", {"policies": ["affinity"]}),
        ("2.96", {"policy": "none-such"}),
        ("2.96", {"policy": "affinity", "rules": {"max_server_per_host": 2}}),
        ("2.96", {"policy": "anti-affinity", "rules": {"max_server_per_host": 0}}),
        ("2.63", {"policy": "affinity"}),
        ("2.63", {"policies": ["affinity", "anti-affinity"]}),
        ("2.63", {"policies": []}),
        ("2.14", {"policies": ["soft-affinity"]}),
    ):
        body = {"server_group": {"name": "g", **values}}
        assert alice.refused("POST", "os-server-groups", body, version=version)[0] == 400, values


def test_groups_of_other_projects(alice: Caller, bob: Caller, admin: Caller) -> None:
    made = group(alice, name="g", policy="affinity")
    path = f"os-server-groups/{made['id']}"
    assert bob.refused("GET", path)[0] == 403
    assert bob.refused("DELETE", path)[0] == 403
    assert bob.refused("GET", f"os-server-groups/{NOWHERE}")[0] == 404
    assert bob.ok("GET", "os-server-groups?all_projects=1") == {"server_groups": []}
    assert admin.ok("GET", "os-server-groups?all_projects=1") == {"server_groups": [made]}
    for key in (made["id"], NOWHERE):
        assert bob.cannot_boot(hints={"group": key}) == (400, f"Instance group {key} could not be found.")
    assert bob.cannot_boot(hints={"group": "x"})[0] == 400
