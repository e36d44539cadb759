"""The flow of an operation's hooks, ordered by the resource graph.

:mod:`karbor_like.plugins.protection` states the order. A hook that a resource does not implement creates no task, and the
order is transitive: ``complete`` of a parent waits for all tasks of its descendants, regardless of their hooks.
"""

from collections.abc import Iterable

from taskflow.patterns import graph_flow
from taskflow.types import graph as taskflow_graph

from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HOOKS
from karbor_like.protection.flows.tasks import BeginTask, HookTask, Step
from karbor_like.protection.operation.session import OperationSession

_FIRST = "prepare_begin"
#: Hooks of a parent that wait for its children's. A child without the hook is waited for by its last earlier hook.
_BOTTOM_UP = {"prepare_finish": (_FIRST,), "complete": ("main", "prepare_finish", _FIRST)}


class _GraphFlow(graph_flow.Flow):
    def connect(self, edges: Iterable[tuple[Step, Step]]) -> None:
        """Link all *edges* in one copy of the graph; the library's ``link`` copies the whole graph for each edge."""
        linked = taskflow_graph.DiGraph(self._graph)
        for before, after in edges:
            self._link(before, after, graph=linked, manual=True)
        self._swap(linked)


class _Builder:
    def __init__(self, operation: OperationSession) -> None:
        self._operation = operation
        self._graph = operation.spec.graph
        self.tasks: dict[tuple[Resource, str], HookTask] = {}
        self.edges: dict[tuple[Step, Step], None] = {}
        self._ends: dict[tuple[Resource, str], tuple[HookTask, ...]] = {}
        #: The tasks after which a resource and its dependencies are past a hook.
        self._past: dict[tuple[Resource, str], tuple[HookTask, ...]] = {}

    def add(self, resource: Resource) -> None:
        """Add the tasks of one resource. Nodes come in post-order, so those of its children exist."""
        hooks = self._operation.spec.hooks.get(resource.type, ())
        rest = [hook for hook in hooks if hook in HOOKS and hook != _FIRST]
        # A saved flow is matched by the names of its tasks only: keep them short, ASCII and deterministic.
        number = self._graph.node_id(resource)
        begin = BeginTask(
            self._operation,
            resource,
            _FIRST if _FIRST in hooks else None,
            f"begin {number} {resource.type}",
            last=not rest,
        )
        self.tasks[resource, _FIRST] = begin
        before: HookTask = begin
        for hook in rest:
            task = HookTask(self._operation, resource, hook, f"{hook} {number} {resource.type}", last=hook == rest[-1])
            self.tasks[resource, hook] = task
            self.edges[before, task] = None
            before = task

    def connect(self, resource: Resource) -> None:
        """Add the order between *resource* and its children."""
        for child in self._graph.children(resource):
            self.edges[self.tasks[resource, _FIRST], self.tasks[child, _FIRST]] = None
            for hook in _BOTTOM_UP:
                task = self.tasks.get((resource, hook))
                if task is not None:
                    self.edges.update(dict.fromkeys((end, task) for end in self._after(child, hook)))

    def order(self, resource: Resource) -> None:
        """Add the order between *resource* and its dependencies, for which this was called before."""
        dependencies = self._graph.dependencies.get(resource, ())
        last = self.tasks[resource, _FIRST]
        for hook in HOOKS[1:]:
            task = self.tasks.get((resource, hook), last)
            if hook in ("main", "complete"):
                before = dict.fromkeys(end for other in dependencies for end in self._past[other, hook])
                if task is not last:
                    self.edges.update(dict.fromkeys((end, task) for end in before))
                self._past[resource, hook] = (task,) if task is not last else (task, *before)
            last = task

    def insert(self, step: Step) -> None:
        """Run *step* after every ``main`` and before every ``complete``."""
        for (_, hook), task in self.tasks.items():
            self.edges[(step, task) if hook == "complete" else (task, step)] = None

    def _after(self, resource: Resource, hook: str) -> tuple[HookTask, ...]:
        """Return the tasks after which *resource* and its descendants are past *hook*."""
        known = self._ends.get((resource, hook))
        if known is None:
            task = self.tasks.get((resource, hook))
            known = self._ends[resource, hook] = (task,) if task else self._through(resource, hook)
        return known

    def _through(self, resource: Resource, hook: str) -> tuple[HookTask, ...]:
        own = next(self.tasks[resource, name] for name in _BOTTOM_UP[hook] if (resource, name) in self.tasks)
        below = [end for child in self._graph.children(resource) for end in self._after(child, hook)]
        return tuple(dict.fromkeys([own, *below]))


def resources(operation: OperationSession, before_complete: Step | None = None) -> graph_flow.Flow:
    """Build the flow of all hooks of all resources.

    :param before_complete: a step between every ``main`` and every ``complete``
    """
    builder = _Builder(operation)
    for resource in operation.spec.graph.nodes:
        builder.add(resource)
    for resource in operation.spec.graph.nodes:
        builder.connect(resource)
        if operation.spec.kind is OperationType.RESTORE:
            builder.order(resource)
    if before_complete is not None:
        builder.insert(before_complete)
    flow = _GraphFlow("resources")
    flow.add(*builder.tasks.values(), *([before_complete] if before_complete else []), resolve_requires=False)
    flow.connect(builder.edges)
    return flow
