from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.protection.registry.protectables import Protectables


class Servers(ProtectablePlugin):
    api_version = 1
    resource_type = "Server"
    parent_types = frozenset({"Project"})

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def list(self, clients: Any, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [Resource("Server", f"s{n}", f"server {n}") for n in (3, 1, 2)]

    def show(self, clients: Any, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        if resource_id == "broken":
            raise exception.ResourceNotProtectable("server broken is in state ERROR")
        if resource_id == "missing":
            raise exception.ResourceNotFound("server missing does not exist")
        return Resource("Server", resource_id, "its name now", {"zone": "now"})

    def children(self, clients: Any, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        return {parent: [Resource("Server", "s1", "server 1")] for parent in parents}


class Volumes(ProtectablePlugin):
    api_version = 1
    resource_type = "Volume"
    parent_types = frozenset({"Server", "Project"})
    calls = 0

    def list(self, clients: Any, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        raise exception.Unavailable("Cinder does not answer")

    def show(self, clients: Any, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        raise exception.ResourceNotFound(resource_id)

    def children(self, clients: Any, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        self.calls += 1
        if clients == "down":
            raise exception.Unavailable("Cinder does not answer")
        found = {parent: [Resource("Volume", f"of {parent.id}")] for parent in parents if parent.id != "s2"}
        for parent in parents:
            if clients == "failing":
                found.setdefault(parent, []).append(
                    Resource("Volume", "sick", "its name", None, "it is in state 'error'")
                )
        return found


@pytest.fixture
def volumes() -> Volumes:
    return Volumes()


@pytest.fixture
def protectables(volumes) -> Protectables:
    return Protectables({"Server": Servers(), "Volume": volumes})


def test_types_and_what_hangs_below_them(protectables):
    assert protectables.types() == ["Server", "Volume"]
    assert protectables.to_dict("Server") == {"name": "Server", "dependent_types": ["Volume"]}
    assert protectables.to_dict("Volume") == {"name": "Volume", "dependent_types": []}
    with pytest.raises(exception.UnknownResourceType, match="'Share'; known are Server, Volume"):
        protectables.to_dict("Share")


def test_a_page_of_instances_asks_once_for_the_children_of_all(protectables, volumes):
    found = protectables.instances("alice", "Server", {})
    assert [one["id"] for one in found] == ["s1", "s2", "s3"]
    assert [[child["id"] for child in one["dependent_resources"]] for one in found] == [["of s1"], [], ["of s3"]]
    assert set(found[0]) == {"id", "type", "name", "extra_info", "dependent_resources"}
    assert volumes.calls == 1


def test_pages(protectables):
    assert [one["id"] for one in protectables.instances("alice", "Server", {}, limit=2)] == ["s1", "s2"]
    assert [one["id"] for one in protectables.instances("alice", "Server", {}, limit=2, marker="s2")] == ["s3"]
    with pytest.raises(exception.ResourceNotFound, match="marker 's9'"):
        protectables.instances("alice", "Server", {}, marker="s9")


def test_children_that_cannot_be_listed_are_an_error_and_not_missing(protectables):
    with pytest.raises(exception.Unavailable, match="Cinder"):
        protectables.instances("down", "Server", {})
    with pytest.raises(exception.Unavailable, match="Cinder"):
        protectables.walk("down", [Resource("Server", "s1")])


def test_a_walk_takes_names_from_the_cloud_and_extra_info_from_the_plan(protectables):
    planned = [Resource("Server", "s1", "old name", {"zone": "planned"}), Resource("Server", "s2", "old name")]
    graph, left_out = protectables.walk("alice", planned)
    assert left_out == []
    assert [(node.id, node.name, node.extra_info) for node in graph.nodes] == [
        ("of s1", "", None),
        ("s1", "its name now", {"zone": "planned"}),
        ("s2", "its name now", {"zone": "now"}),
    ]


def test_children_with_an_obstacle_are_left_out_and_returned(protectables):
    planned = [Resource("Server", "s1"), Resource("Server", "s2")]
    graph, left_out = protectables.walk("failing", planned)
    assert [node.id for node in graph.nodes] == ["of s1", "s1", "s2"]
    assert [(resource.id, resource.name, resource.obstacle) for resource in left_out] == [
        ("sick", "its name", "it is in state 'error'")
    ]
    (instance,) = [one for one in protectables.instances("failing", "Server", {}) if one["id"] == "s2"]
    assert instance["dependent_resources"] == []


def test_a_planned_resource_is_protected_although_it_has_an_obstacle_as_a_child(protectables, volumes, monkeypatch):
    monkeypatch.setattr(volumes, "show", lambda clients, resource_id: Resource("Volume", resource_id, "its name"))
    graph, left_out = protectables.walk("failing", [Resource("Server", "s2"), Resource("Volume", "sick")])
    assert [(node.id, node.obstacle) for node in graph.nodes] == [("sick", None), ("s2", None)]
    assert left_out == []


def test_a_walk_names_all_planned_resources_that_it_cannot_find(protectables):
    planned = [Resource("Server", "broken"), Resource("Server", "missing", "web"), Resource("Server", "s1")]
    with pytest.raises(exception.ResourceNotFound) as refusal:
        protectables.walk("alice", planned)
    assert refusal.value.message == (
        "Server#broken: server broken is in state ERROR; Server#missing (web): server missing does not exist"
    )
    with pytest.raises(exception.ResourceNotProtectable, match="^Server#broken: server broken is in state ERROR$"):
        protectables.walk("alice", planned, skip_missing=True)
    graph, left_out = protectables.walk("alice", planned[1:], skip_missing=True)
    assert [node.id for node in graph.nodes] == ["of s1", "s1"]
    assert [(resource.key, resource.obstacle) for resource in left_out] == [
        ("Server#missing", "server missing does not exist")
    ]


def test_a_walk_refuses_what_cannot_be_protected(protectables):
    with pytest.raises(exception.Conflict, match="state ERROR"):
        protectables.walk("alice", [Resource("Server", "broken")])
    with pytest.raises(exception.ResourceNotFound):
        protectables.walk("alice", [Resource("Volume", "v")])


def test_one_instance(protectables):
    assert protectables.instance("alice", "Server", "s7", {})["dependent_resources"][0]["id"] == "of s7"
