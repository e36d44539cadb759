"""The resource graph of a checkpoint: the protected resources, their children and their dependencies.

Pure values: plugins find children and dependencies, this module orders and serializes them. The text of a graph is part of
the REST API (a JSON array of ``nodes`` and ``adjacency``) and is stored in banks, so reading it is strict.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from karbor_like import exception
from karbor_like.domain.resource import Resource

#: Finds resources related to each of many others. Resources without any may be left out.
FindRelated = Callable[[Sequence[Resource]], Mapping[Resource, Sequence[Resource]]]

#: Resources that a message names.
_MAX_NAMED = 10


@dataclass(frozen=True)
class Graph:
    """Resources, each once, after its children and dependencies.

    :param edges: the direct children of the resources that have any
    :param dependencies: the resources to restore first, for the resources that have any
    """

    nodes: tuple[Resource, ...]
    edges: Mapping[Resource, tuple[Resource, ...]]
    dependencies: Mapping[Resource, tuple[Resource, ...]] = field(default_factory=dict)

    @cached_property
    def _numbers(self) -> dict[Resource, int]:
        return {node: number for number, node in enumerate(self.nodes)}

    @cached_property
    def roots(self) -> tuple[Resource, ...]:
        """The resources without a parent."""
        below = {child for children in self.edges.values() for child in children}
        return tuple(node for node in self.nodes if node not in below)

    def children(self, resource: Resource) -> tuple[Resource, ...]:
        """Return the direct children of *resource*."""
        return self.edges.get(resource, ())

    def node_id(self, resource: Resource) -> str:
        """Return the id of *resource* in the text: its position in the order, ``0x0``, ``0x1`` ..."""
        return hex(self._numbers[resource])

    def without(self, left_out: Collection[Resource]) -> "Graph":
        """Return the graph without some resources. Their children stay."""

        def rest(related: Mapping[Resource, tuple[Resource, ...]]) -> dict[Resource, tuple[Resource, ...]]:
            kept = {
                node: tuple(other for other in others if other not in left_out)
                for node, others in related.items()
                if node not in left_out
            }
            return {node: others for node, others in kept.items() if others}

        nodes = tuple(node for node in self.nodes if node not in left_out)
        return Graph(nodes, rest(self.edges), rest(self.dependencies))

    def part(self, keys: Sequence[str], *, with_children: bool, root: str) -> "Graph":
        """Return the graph of the resources with some keys.

        :param with_children: whether to keep everything below them as well
        :param root: path of *keys* in the request, for messages
        :raises InvalidInput: naming the first key that no resource has
        """
        nodes = {node.key: node for node in self.nodes}
        for number, key in enumerate(keys):
            if key not in nodes:
                some = ", ".join([*nodes][:_MAX_NAMED]) + (", ..." if len(nodes) > _MAX_NAMED else "")
                raise exception.InvalidInput(f"{root}.{number}: {key!r} is not in the checkpoint, which has {some}")
        kept = {nodes[key] for key in keys}
        for node in reversed(self.nodes):  # children come before their parents
            if with_children and node in kept:
                kept.update(self.children(node))
        return self.without([node for node in self.nodes if node not in kept])

    def to_text(self) -> str:
        """Return the JSON text that the API shows and banks store.

        A node is an array of type, id, name and extra_info. The ids of its dependencies follow if it has any.
        """
        nodes: dict[str, list[Any]] = {}
        for number, node in enumerate(self.nodes):
            nodes[hex(number)] = [node.type, node.id, node.name, node.extra_info]
            if self.dependencies.get(node):
                nodes[hex(number)].append([self.node_id(other) for other in self.dependencies[node]])
        adjacency = [
            [self.node_id(node), [self.node_id(child) for child in self.edges[node]]]
            for node in self.nodes
            if self.edges.get(node)
        ]
        return json.dumps([nodes, adjacency])

    @classmethod
    def from_text(cls, text: str) -> "Graph":
        """Create a graph from :meth:`to_text`'s text. Raises InvalidInput for any other text."""
        try:
            nodes, adjacency = json.loads(text)
            by_id = {node_id: _node(value) for node_id, value in nodes.items()}
            order = sorted(by_id, key=lambda node_id: int(node_id, 16))
            if not isinstance(adjacency, list):
                raise TypeError("adjacency must be an array")
            edges = _related(adjacency, by_id)
            dependencies = _related([(node_id, value[4]) for node_id, value in nodes.items() if len(value) > 4], by_id)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise exception.InvalidInput(f"not a resource graph ({error!r}): {text[:200]!r}") from None
        if len(set(by_id.values())) != len(by_id):
            raise exception.InvalidInput(f"a resource graph names a resource twice: {text[:200]!r}")
        return cls(tuple(by_id[node_id] for node_id in order), edges, dependencies)


def _node(value: Sequence[Any]) -> Resource:
    resource_type, resource_id, name, extra_info = value[:4]
    if not all(isinstance(item, str) for item in (resource_type, resource_id)):
        raise TypeError(f"type and id must be texts, not {resource_type!r} and {resource_id!r}")
    if not isinstance(name, str | None):
        raise TypeError(f"a name must be a text, not {name!r}")
    return Resource(resource_type, resource_id, name or "", extra_info)


def _related(
    pairs: Sequence[tuple[str, Sequence[str]]], by_id: Mapping[str, Resource]
) -> dict[Resource, tuple[Resource, ...]]:
    """Read children or dependencies. Their order in the text rules out cycles."""
    related: dict[Resource, tuple[Resource, ...]] = {}
    for node_id, others in pairs:
        for other in others:
            if int(other, 16) >= int(node_id, 16):
                raise ValueError(f"{other} does not come before {node_id}")
        if by_id[node_id] in related:
            raise ValueError(f"{node_id} is a parent twice")
        related[by_id[node_id]] = tuple(by_id[other] for other in others)
    return related


def walk(starts: Sequence[Resource], find_children: FindRelated, find_dependencies: FindRelated | None = None) -> Graph:
    """Build the graph of *starts* and everything below them.

    A start that is the child of another resource is no root. Dependencies outside the graph are left out.

    :param find_children: called once per level of the tree, never twice for the same resource
    :param find_dependencies: called once, with all resources

    Raises InvalidInput for a cycle, naming its members.
    """
    known, edges = _discover(starts, find_children)
    related = find_dependencies(list(known)) if find_dependencies and known else {}
    dependencies = {}
    for resource, others in related.items():
        inside = tuple(known[other] for other in dict.fromkeys(others) if other in known)
        if inside:
            dependencies[known[resource]] = inside
    return Graph(_ordered(starts, edges, dependencies), edges, dependencies)


def _discover(
    starts: Sequence[Resource], find_children: FindRelated
) -> tuple[dict[Resource, Resource], dict[Resource, tuple[Resource, ...]]]:
    """Return all resources, and the children of those that have any. The first object found for a resource stands for it."""
    known = {start: start for start in dict.fromkeys(starts)}
    edges: dict[Resource, tuple[Resource, ...]] = {}
    level = list(known)
    while level:
        children_of = find_children(level)
        below: list[Resource] = []
        for parent in level:
            children = dict.fromkeys(children_of.get(parent, ()))
            below += [child for child in children if child not in known]
            if children:
                edges[parent] = tuple(known.setdefault(child, child) for child in children)
        level = below
    return known, edges


def _ordered(
    starts: Sequence[Resource],
    edges: Mapping[Resource, tuple[Resource, ...]],
    dependencies: Mapping[Resource, tuple[Resource, ...]],
) -> tuple[Resource, ...]:
    """Return all resources in depth-first post-order."""

    def before(node: Resource) -> Iterator[Resource]:
        return iter((*edges.get(node, ()), *dependencies.get(node, ())))

    done: dict[Resource, None] = {}
    # The path from a start to the current resource, each with the resources still to be visited. Without recursion, depth
    # is unlimited.
    path: dict[Resource, Iterator[Resource]] = {}
    for start in starts:
        if start in done:
            continue
        path[start] = before(start)
        while path:
            node, rest = next(reversed(path.items()))
            following = next((other for other in rest if other not in done), None)
            if following is None:
                done[node] = None
                del path[node]
            elif following in path:
                raise _cycle(list(path), following)
            else:
                path[following] = before(following)
    return tuple(done)


def _cycle(path: list[Resource], repeated: Resource) -> exception.InvalidInput:
    members = [*path[path.index(repeated) :], repeated]
    return exception.InvalidInput(
        f"resources depend on each other in a circle: {' -> '.join(member.key for member in members)}"
    )
