"""Resources as trees: what can be protected with what depends on it, and what a checkpoint contains."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms

from karbor_like_dashboard import api
from karbor_like_dashboard.common import texts

#: Levels that are shown at most, so that no answer of the API makes a page endless.
_DEPTH = 8
#: Nodes that are shown at most.
_NODES = 2000


@dataclass
class Node:
    """A resource with what depends on it."""

    type: str
    id: str
    name: str
    children: list["Node"] = field(default_factory=list)
    status: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """The resource as the API names it."""
        return f"{self.type}#{self.id}"

    @property
    def state(self) -> str:
        """The status for the reader."""
        return texts.status(self.status)

    @property
    def kind(self) -> str:
        """The type for the reader."""
        return texts.resource_type(self.type)


def protectable(client: api.Client) -> list[tuple[str, list[Node]]]:
    """Return the user's resources by type, with one request for each type.

    The number of types is that of the installed plugins.
    """
    listed = {kind.name: api.some(client.protectable_instances, kind.name) for kind in client.protectables()}
    below = {
        (instance.type or kind, instance.id): instance.dependent_resources or []
        for kind, instances in listed.items()
        for instance in instances
    }
    return [
        (kind, [_node({"type": kind, "id": each.id, "name": each.name}, below, frozenset()) for each in instances])
        for kind, instances in listed.items()
    ]


def _node(resource: Mapping[str, Any], below: Mapping[tuple[str, str], Any], above: frozenset[tuple[str, str]]) -> Node:
    key = (str(resource.get("type")), str(resource.get("id")))
    made = Node(*key, str(resource.get("name") or resource.get("id")))
    if key not in above and len(above) < _DEPTH:
        made.children = [_node(child, below, above | {key}) for child in below.get(key, ())]
    return made


def of_plan(resources: Iterable[Mapping[str, Any]]) -> list[Node]:
    """Return the resources that a plan names."""
    return [_node(resource, {}, frozenset()) for resource in resources]


def with_dependents(client: api.Client, nodes: Iterable[Node]) -> list[Node]:
    """Return resources with what is protected together with them, with one request for each type that occurs.

    A resource that was deleted, or is beyond those that are listed, has nothing below it.

    :raises Failure: the API failed
    """
    roots = list(nodes)
    below: dict[tuple[str, str], Any] = {}
    waiting, listed = {node.type for node in roots}, set[str]()
    while waiting:
        kind = min(waiting)
        listed.add(kind)
        for each in api.some(client.protectable_instances, kind):
            below[kind, each.id] = each.dependent_resources or []
            waiting |= {str(child.get("type")) for child in below[kind, each.id]}
        waiting -= listed
    return [_node({"type": node.type, "id": node.id, "name": node.name}, below, frozenset()) for node in roots]


def of_checkpoint(graph: Any, states: Mapping[str, Mapping[str, Any]] | None = None) -> list[Node]:
    """Return the roots of the resource graph of a checkpoint.

    :param graph: ``[nodes, adjacency]``: *nodes* maps a name to type, id, name and more; *adjacency* is pairs of a name and
        the names below it
    :param states: status and reason by resource, as ``Type#id``
    """
    try:
        nodes, adjacency = graph
        known = {
            str(name): Node(str(value[0]), str(value[1]), str(value[2] or value[1])) for name, value in nodes.items()
        }
        edges = [(str(above), [str(name) for name in below]) for above, below in adjacency]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return []
    for node in known.values():
        state = (states or {}).get(node.key) or {}
        node.status, node.reason = str(state.get("status") or ""), str(state.get("reason") or "")
    children = dict(edges)
    lower = {name for below in children.values() for name in below}
    roots = [name for name in known if name not in lower] or list(known)[:1]
    budget = [_NODES]
    return [_graph_node(name, known, children, frozenset(), budget) for name in roots]


def _graph_node(
    name: str,
    known: Mapping[str, Node],
    children: Mapping[str, Sequence[str]],
    above: frozenset[str],
    budget: list[int],
) -> Node:
    node = known[name]
    made = Node(node.type, node.id, node.name, status=node.status, reason=node.reason)
    budget[0] -= 1
    if name not in above and len(above) < _DEPTH:
        made.children = [
            _graph_node(child, known, children, above | {name}, budget)
            for child in children.get(name, ())
            if child in known and budget[0] > 0
        ]
    return made


def flat(nodes: Iterable[Node]) -> Iterable[Node]:
    """Return each resource of trees once: where it occurs with most of what is below it, which limits may have cut."""
    found: dict[str, Node] = {}
    waiting = deque(nodes)
    while waiting:
        node = waiting.popleft()
        known = found.get(node.key)
        if known is None or len(node.children) > len(known.children):
            found[node.key] = node
            # What is below a resource that is shared is looked at once.
            waiting += node.children
    return found.values()


def names(graph: Any) -> dict[str, str]:
    """Return the names of the resources of a checkpoint by ``Type#id``.

    :param graph: as for :func:`of_checkpoint`
    """
    return {node.key: node.name for node in flat(of_checkpoint(graph))}


class TreeWidget(forms.SelectMultiple):
    """Check boxes of resources, with what is protected or restored together with each of them below it.

    Horizon renders other widgets with check boxes by a template of its own.
    """

    template_name = "karbor_like_dashboard/tree_widget.html"
    #: Groups with a title and nodes.
    groups: Sequence[tuple[str, Sequence[Node]]] = ()
    #: Whether the resources below a resource can be chosen too.
    deep = False

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        chosen = {str(each) for each in value or ()}
        context["widget"].update(groups=self.groups, chosen=chosen, deep=self.deep)
        return context

    def id_for_label(self, id_: str | None) -> str:
        # The label belongs to the group of check boxes, not to one of them.
        return ""


class TreeField(forms.MultipleChoiceField):
    """Resources that are chosen in a tree. The value is their keys; see :class:`Node`."""

    widget = TreeWidget

    def show(self, groups: Sequence[tuple[str, Sequence[Node]]], *, deep: bool = False) -> None:
        """Set what can be chosen.

        :param groups: by title
        :param deep: whether resources below others can be chosen too
        """
        self.nodes = {node.key: node for _, nodes in groups for node in (flat(nodes) if deep else nodes)}
        self.choices = [(key, node.name) for key, node in self.nodes.items()]
        widget: Any = self.widget
        widget.groups, widget.deep = groups, deep
