"""The order of hooks: the resource graph as a flow.

For one resource: prepare_begin, prepare_finish, main, complete. Between parent and child: the parent's prepare_begin
before the child's, the child's prepare_finish before the parent's, the child's complete before the parent's. A hook that
a resource does not implement makes no task, and order reaches through it: the parent's ``complete`` waits for all that its
descendants do, whichever hooks they have.
"""

from collections.abc import Iterable

from taskflow.patterns import graph_flow
from taskflow.types import graph as taskflow_graph

from karbor_like.domain.resource import Resource
from karbor_like.protection.flows.tasks import BeginTask, HookTask, Step
from karbor_like.protection.operation.session import OperationSession

_FIRST = "prepare_begin"
#: Hooks of a parent that wait for its children's, and what is last before them where a child lacks the hook.
_BOTTOM_UP = {"prepare_finish": (_FIRST,), "complete": ("main", "prepare_finish", _FIRST)}


class _GraphFlow(graph_flow.Flow):
    def connect(self, edges: Iterable[tuple[Step, Step]]) -> None:
        """Link many at once: the library's ``link`` copies the whole graph for each."""
        linked = taskflow_graph.DiGraph(self._graph)
        for before, after in edges:
            self._link(before, after, graph=linked, manual=True)
        self._swap(linked)


class _Builder:
    def __init__(self, scope: OperationSession) -> None:
        self._scope = scope
        self._graph = scope.work.graph
        self.tasks: dict[tuple[Resource, str], HookTask] = {}
        self.edges: dict[tuple[HookTask, HookTask], None] = {}
        self._ends: dict[tuple[Resource, str], tuple[HookTask, ...]] = {}

    def add(self, resource: Resource) -> None:
        """The tasks of one resource. Its children's exist already: nodes come in post-order."""
        hooks = self._scope.work.hooks.get(resource.type, ())
        rest = [hook for hook in hooks if hook != _FIRST]
        # Names are all that a saved flow is matched by: short, ASCII and the same whenever the flow is rebuilt.
        number = self._graph.node_id(resource)
        begin = BeginTask(
            self._scope,
            resource,
            _FIRST if _FIRST in hooks else None,
            f"begin {number} {resource.type}",
            last=not rest,
        )
        self.tasks[resource, _FIRST] = begin
        before: HookTask = begin
        for hook in rest:
            task = HookTask(self._scope, resource, hook, f"{hook} {number} {resource.type}", last=hook == rest[-1])
            self.tasks[resource, hook] = task
            self.edges[before, task] = None
            before = task

    def connect(self, resource: Resource) -> None:
        """The order between *resource* and its children."""
        for child in self._graph.children(resource):
            self.edges[self.tasks[resource, _FIRST], self.tasks[child, _FIRST]] = None
            for hook in _BOTTOM_UP:
                task = self.tasks.get((resource, hook))
                if task is not None:
                    self.edges.update(dict.fromkeys((end, task) for end in self._after(child, hook)))

    def _after(self, resource: Resource, hook: str) -> tuple[HookTask, ...]:
        """The tasks after which *resource* and all below it are past *hook*."""
        known = self._ends.get((resource, hook))
        if known is None:
            task = self.tasks.get((resource, hook))
            known = self._ends[resource, hook] = (task,) if task else self._through(resource, hook)
        return known

    def _through(self, resource: Resource, hook: str) -> tuple[HookTask, ...]:
        own = next(self.tasks[resource, name] for name in _BOTTOM_UP[hook] if (resource, name) in self.tasks)
        below = [end for child in self._graph.children(resource) for end in self._after(child, hook)]
        return tuple(dict.fromkeys([own, *below]))


def resources(scope: OperationSession) -> graph_flow.Flow:
    """The flow of all hooks of all resources."""
    builder = _Builder(scope)
    for resource in scope.work.graph.nodes:
        builder.add(resource)
    for resource in scope.work.graph.nodes:
        builder.connect(resource)
    flow = _GraphFlow("resources")
    flow.add(*builder.tasks.values(), resolve_requires=False)
    flow.connect(builder.edges)
    return flow
