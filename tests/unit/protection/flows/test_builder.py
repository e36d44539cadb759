"""The order of hooks, for any graph and any set of hooks."""

from types import SimpleNamespace
from typing import Any

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like.domain.graph import Graph, walk
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HOOKS
from karbor_like.protection.flows import builder
from karbor_like.protection.flows.tasks import Step

#: Building a flow takes milliseconds, on a busy machine many.
FEW = settings(max_examples=50)


@st.composite
def scopes(draw: st.DrawFn) -> Any:
    """A graph of up to eight resources, each of a type of its own with hooks of its own."""
    count = draw(st.integers(1, 8))
    resources = [Resource(f"T{n}", f"r{n}") for n in range(count)]
    children = {
        resource: draw(st.lists(st.sampled_from(resources[n + 1 :]), unique=True)) if n + 1 < count else []
        for n, resource in enumerate(resources)
    }
    hooks = {
        resource.type: tuple(hook for hook in HOOKS if hook in draw(st.sets(st.sampled_from(HOOKS))))
        for resource in resources
    }
    graph = walk(resources[:1] + resources[-1:], lambda parents: {parent: children[parent] for parent in parents})
    return SimpleNamespace(spec=SimpleNamespace(kind=OperationType.PROTECT, graph=graph, hooks=hooks))


def tasks_of(operation: Any) -> tuple[networkx.DiGraph, dict[tuple[Resource, str], Any]]:
    flow = builder.resources(operation)
    graph = networkx.DiGraph()
    graph.add_nodes_from(node for node, _ in flow.iter_nodes())
    graph.add_edges_from((before, after) for before, after, _ in flow.iter_links())
    closure = networkx.transitive_closure(graph)
    return closure, {(task.resource, task.hook or "prepare_begin"): task for task in graph}


@FEW
@given(scopes())
def test_every_hook_has_one_task_and_every_resource_a_first_one(operation):
    _, tasks = tasks_of(operation)
    graph: Graph = operation.spec.graph
    assert set(tasks) == {
        (node, hook) for node in graph.nodes for hook in ("prepare_begin", *operation.spec.hooks[node.type])
    }
    assert len({task.name for task in tasks.values()}) == len(tasks)
    for node in graph.nodes:
        last = [tasks[node, hook] for hook in HOOKS if (node, hook) in tasks][-1]
        assert [task.last for (resource, _), task in tasks.items() if resource == node].count(True) == 1
        assert last.last


@FEW
@given(scopes())
def test_hooks_of_one_resource_run_in_order(operation):
    order, tasks = tasks_of(operation)
    for node in operation.spec.graph.nodes:
        own = [tasks[node, hook] for hook in HOOKS if (node, hook) in tasks]
        for before, after in zip(own, own[1:], strict=False):
            assert order.has_edge(before, after)


@FEW
@given(scopes())
def test_order_between_parents_and_all_below_them(operation):
    order, tasks = tasks_of(operation)
    graph: Graph = operation.spec.graph
    below = networkx.DiGraph((parent, child) for parent, children in graph.edges.items() for child in children)
    for parent, child in networkx.transitive_closure(below).edges:
        assert order.has_edge(tasks[parent, "prepare_begin"], tasks[child, "prepare_begin"])
        for hook in ("prepare_finish", "complete"):
            if (parent, hook) in tasks and (child, hook) in tasks:
                assert order.has_edge(tasks[child, hook], tasks[parent, hook])
        if (parent, "complete") in tasks:
            for hook in HOOKS:
                if (child, hook) in tasks:
                    assert order.has_edge(tasks[child, hook], tasks[parent, "complete"])


@FEW
@given(scopes())
def test_no_main_waits_for_another_resource_s_main(operation):
    order, tasks = tasks_of(operation)
    mains = [task for (_, hook), task in tasks.items() if hook == "main"]
    assert not any(order.has_edge(one, other) for one in mains for other in mains if one is not other)


@FEW
@given(scopes())
def test_names_are_the_same_whenever_the_flow_is_built(operation):
    names = [sorted(task.name for task in tasks_of(operation)[1].values()) for _ in range(2)]
    again = SimpleNamespace(
        spec=SimpleNamespace(
            kind=operation.spec.kind, graph=Graph.from_text(operation.spec.graph.to_text()), hooks=operation.spec.hooks
        )
    )
    names.append(sorted(task.name for task in tasks_of(again)[1].values()))
    assert names[0] == names[1] == names[2]
    assert all(name.isascii() and len(name) < 200 for name in names[0])


@FEW
@given(scopes(), st.data())
def test_restore_orders_dependencies_and_the_step_in_the_middle_without_a_circle(operation, data):
    nodes = operation.spec.graph.nodes
    # Any order that the graph's order allows: nodes come after their children and dependencies.
    needs = {
        node: tuple(data.draw(st.lists(st.sampled_from(nodes[:number]), max_size=3, unique=True)))
        for number, node in enumerate(nodes)
        if number
    }
    operation.spec.graph = Graph(nodes, operation.spec.graph.edges, needs)
    operation.spec.kind = OperationType.RESTORE
    step = Step(operation, "in the middle")
    flow = builder.resources(operation, step)
    graph = networkx.DiGraph((before, after) for before, after, _ in flow.iter_links())
    assert networkx.is_directed_acyclic_graph(graph)
    order = networkx.transitive_closure(graph)
    tasks = {(task.resource, task.hook): task for task, _ in flow.iter_nodes() if task is not step}
    for (node, hook), task in tasks.items():
        if hook == "complete":
            assert order.has_edge(step, task)
        else:
            assert order.has_edge(task, step)
        for other in needs.get(node, ()):
            if hook in ("main", "complete") and (other, hook) in tasks:
                assert order.has_edge(tasks[other, hook], task)
