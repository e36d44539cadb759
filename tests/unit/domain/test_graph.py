import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.domain import graph
from karbor_like.domain.resource import Resource


def resource(name: str) -> Resource:
    return Resource("OS::Cinder::Volume", name, f"name of {name}")


def finder(edges: Mapping[str, Sequence[str]]) -> graph.FindRelated:
    asked: set[Resource] = set()

    def find(parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        assert not asked & set(parents), "asked twice for the children of one resource"
        asked.update(parents)
        return {parent: [resource(child) for child in edges.get(parent.id, ())] for parent in parents}

    return find


def walk(starts: Sequence[str], edges: Mapping[str, Sequence[str]]) -> graph.Graph:
    return graph.walk([resource(start) for start in starts], finder(edges))


def test_text_of_two_servers_that_share_a_volume():
    volume = Resource("OS::Cinder::Volume", "v", "data", {"availability_zone": "az1"})
    servers = [Resource("OS::Nova::Server", "a", "web-1"), Resource("OS::Nova::Server", "b", "web-2")]

    found = graph.walk(servers, lambda parents: {server: [volume] for server in servers if server in parents})

    assert json.loads(found.to_text()) == [
        {
            "0x0": ["OS::Cinder::Volume", "v", "data", {"availability_zone": "az1"}],
            "0x1": ["OS::Nova::Server", "a", "web-1", None],
            "0x2": ["OS::Nova::Server", "b", "web-2", None],
        },
        [["0x1", ["0x0"]], ["0x2", ["0x0"]]],
    ]


def test_node_ids_are_lower_case_hex():
    found = walk([f"r{n}" for n in range(11)], {})
    assert list(json.loads(found.to_text())[0])[-1] == "0xa"


def test_planned_resource_that_is_also_a_child_is_no_root():
    found = walk(["child", "parent"], {"parent": ["child"]})
    assert [node.id for node in found.nodes] == ["child", "parent"]
    assert [node.id for node in found.roots] == ["parent"]


def test_resource_given_twice_is_one_node_with_its_first_name():
    renamed = Resource("OS::Cinder::Volume", "a", "new name")
    found = graph.walk([resource("a"), renamed, resource("b")], lambda parents: {resource("b"): [renamed]})
    assert [node.name for node in found.nodes] == ["name of a", "name of b"]
    assert found.children(resource("b"))[0].name == "name of a"


@pytest.mark.parametrize(
    ("starts", "edges", "circle"),
    [
        (["a"], {"a": ["a"]}, "a -> OS::Cinder::Volume#a"),
        (["x", "a"], {"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, "a -> OS::Cinder::Volume#b"),
    ],
)
def test_circle_is_an_error_that_names_its_members(starts, edges, circle):
    with pytest.raises(exception.InvalidInput, match=circle):
        walk(starts, edges)


def test_depth_is_unlimited():
    found = walk(["0"], {str(n): [str(n + 1)] for n in range(5000)})
    assert found.nodes[0].id == "5000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[{}, {}]",
        "{}",
        "null",
        '[{"0x0": []}, []]',
        '[{"0x0": ["t", 7, "n", null]}, []]',
        '[{"zero": ["t", "a", "n", null]}, []]',
        '[{"0x0": ["t", "a", "n", null]}, [["0x0", ["0x1"]]]]',
        '[{"0x0": ["t", "a", "n", null], "0x1": ["t", "b", "n", null]}, [["0x0", ["0x1"]]]]',
        '[{"0x0": ["t", "a", "n", null], "0x1": ["t", "a", "n", null]}, []]',
        '[{"0x0": ["t", "a", "n", null], "0x1": ["t", "b", "n", null]}, [["0x1", ["0x0"]], ["0x1", ["0x0"]]]]',
    ],
)
def test_text_that_is_no_graph_is_refused(text):
    with pytest.raises(exception.InvalidInput, match="resource"):
        graph.Graph.from_text(text)


@st.composite
def acyclic(draw: st.DrawFn) -> tuple[list[str], dict[str, list[str]]]:
    names = [f"r{n}" for n in range(draw(st.integers(1, 12)))]
    edges = {}
    for number, name in enumerate(names):
        later = names[number + 1 :]
        edges[name] = draw(st.lists(st.sampled_from(later), unique=True)) if later else []
    starts = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    return draw(st.permutations(starts)), edges


@given(acyclic())
def test_every_reachable_resource_occurs_once_after_its_children(drawn):
    starts, edges = drawn
    found = walk(starts, edges)

    reachable, todo = set(), list(starts)
    while todo:
        name = todo.pop()
        if name not in reachable:
            reachable.add(name)
            todo.extend(edges[name])
    order = [node.id for node in found.nodes]
    assert sorted(order) == sorted(reachable)
    for node in found.nodes:
        assert [child.id for child in found.children(node)] == edges[node.id]
        assert all(order.index(child) < order.index(node.id) for child in edges[node.id])


@given(acyclic())
def test_adjacency_has_the_order_that_readers_require(drawn):
    nodes, adjacency = json.loads(walk(*drawn).to_text())
    done: set[str] = set()
    parents = {parent for parent, _ in adjacency}
    for parent, children in adjacency:
        assert parent not in done
        assert children
        assert all(child in done or child not in parents for child in children)
        assert all(child in nodes for child in children)
        done.add(parent)


names = st.text(max_size=20)
extras = st.none() | st.dictionaries(names, st.none() | st.booleans() | st.integers() | names, max_size=3)


@given(acyclic(), st.lists(st.tuples(names, extras), min_size=12, max_size=12))
def test_text_is_read_back_as_the_same_graph(drawn, values):
    starts, edges = drawn
    resources = {f"r{n}": Resource("T", f"r{n}", *value) for n, value in enumerate(values)}
    found = graph.walk(
        [resources[start] for start in starts],
        lambda parents: {parent: [resources[child] for child in edges[parent.id]] for parent in parents},
    )
    again = graph.Graph.from_text(found.to_text())
    assert [node.to_dict() for node in again.nodes] == [node.to_dict() for node in found.nodes]
    assert again.edges == found.edges
    assert again.roots == found.roots
    assert again.to_text() == found.to_text()


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(max_size=4), lambda x: st.lists(x)).map(json.dumps))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(exception.InvalidInput):
        graph.Graph.from_text(text)


def depend(
    starts: Sequence[str], edges: Mapping[str, Sequence[str]], needs: Mapping[str, Sequence[str]]
) -> graph.Graph:
    return graph.walk([resource(start) for start in starts], finder(edges), finder(needs))


def test_dependencies_come_first_and_are_no_children():
    plan = depend(
        ["server", "network"], {"server": ["port"]}, {"server": ["network", "elsewhere"], "port": ["network"]}
    )
    assert [node.id for node in plan.nodes] == ["network", "port", "server"]
    assert [node.id for node in plan.roots] == ["network", "server"]
    assert plan.dependencies == {
        resource("server"): (resource("network"),),
        resource("port"): (resource("network"),),
    }


def test_text_of_dependencies_is_read_back():
    plan = depend(["server", "network"], {}, {"server": ["network"]})
    nodes, adjacency = json.loads(plan.to_text())
    assert nodes["0x1"] == ["OS::Cinder::Volume", "server", "name of server", None, ["0x0"]]
    assert len(nodes["0x0"]) == 4
    assert adjacency == []
    assert graph.Graph.from_text(plan.to_text()) == plan


@pytest.mark.parametrize(
    ("edges", "needs"),
    [
        ({}, {"a": ["a"]}),
        ({}, {"a": ["b"], "b": ["a"]}),
        ({"a": ["b"]}, {"b": ["a"]}),
        ({"a": ["c"]}, {"c": ["b"], "b": ["a"]}),
    ],
    ids=str,
)
def test_circle_of_dependencies_is_an_error(edges, needs):
    with pytest.raises(exception.InvalidInput, match="in a circle"):
        depend(["a", "b"], edges, needs)


@pytest.mark.parametrize("needs", [["0x1"], ["0x7"], [7], 7])
def test_text_with_wrong_dependencies_is_refused(needs):
    text = json.dumps([{"0x0": ["T", "a", "", None], "0x1": ["T", "b", "", None, needs]}, []])
    with pytest.raises(exception.InvalidInput, match="not a resource graph"):
        graph.Graph.from_text(text)


def test_without_some_resources_their_children_stay_and_no_reference_to_them_remains():
    found = walk(["top"], {"top": ["middle", "leaf"], "middle": ["leaf", "low"]})
    dependent = graph.Graph(found.nodes, found.edges, {resource("top"): (resource("low"), resource("middle"))})

    rest = dependent.without([resource("middle"), resource("leaf")])

    assert [node.id for node in rest.nodes] == ["low", "top"]
    assert rest.edges == {}
    assert rest.dependencies == {resource("top"): (resource("low"),)}
    assert graph.Graph.from_text(rest.to_text()).nodes == rest.nodes


def test_part_of_a_graph():
    found = walk(["p"], {"p": ["a", "b"], "a": ["v"], "b": ["v", "w"]})
    keys = [resource(name).key for name in ("a", "w")]

    def ids(part: graph.Graph) -> list[str]:
        return [node.id for node in part.nodes]

    assert ids(found.part(keys, with_children=True, root="x")) == ["v", "a", "w"]
    assert ids(found.part(keys, with_children=False, root="x")) == ["a", "w"]
    assert ids(found.part([resource("p").key], with_children=True, root="x")) == ids(found)
    assert found.part(keys, with_children=True, root="x").edges == {resource("a"): (resource("v"),)}


def test_part_that_a_graph_does_not_have():
    found = walk([f"r{number}" for number in range(12)], {})
    message = r"^x\.1: 'OS::Nova::Server#r0' is not in the checkpoint, which has OS::Cinder::Volume#r0, .*#r9, \.\.\.$"
    with pytest.raises(exception.InvalidInput, match=message):
        found.part([resource("r0").key, "OS::Nova::Server#r0"], with_children=True, root="x")
