"""The resource graph of a checkpoint: what is protected, and what hangs below what.

A pure value: plugins find children, this module walks, orders and writes. Its text is part of the REST API (members
``nodes`` and ``adjacency`` in a two-element JSON array) and is what a bank keeps, so readers are strict.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from karbor_like import exception
from karbor_like.domain.resource import Resource

#: Finds the direct children of many resources at once. A resource without children may be left out.
FindChildren = Callable[[Sequence[Resource]], Mapping[Resource, Sequence[Resource]]]


@dataclass(frozen=True)
class Graph:
    """Resources in depth-first post-order (children first), and the direct children of those that have any.

    A resource is in it once, however many parents it has.
    """

    nodes: tuple[Resource, ...]
    edges: Mapping[Resource, tuple[Resource, ...]]

    @cached_property
    def _numbers(self) -> dict[Resource, int]:
        return {node: number for number, node in enumerate(self.nodes)}

    @cached_property
    def roots(self) -> tuple[Resource, ...]:
        """Resources that are nobody's child."""
        below = {child for children in self.edges.values() for child in children}
        return tuple(node for node in self.nodes if node not in below)

    def children(self, resource: Resource) -> tuple[Resource, ...]:
        """Direct children."""
        return self.edges.get(resource, ())

    def node_id(self, resource: Resource) -> str:
        """How the text names *resource*: its place in the post-order, ``0x0``, ``0x1`` ..."""
        return hex(self._numbers[resource])

    def to_text(self) -> str:
        """The JSON text that the API shows and banks keep."""
        nodes = {hex(n): [node.type, node.id, node.name, node.extra_info] for n, node in enumerate(self.nodes)}
        adjacency = [
            [self.node_id(node), [self.node_id(child) for child in self.edges[node]]]
            for node in self.nodes
            if self.edges.get(node)
        ]
        return json.dumps([nodes, adjacency])

    @classmethod
    def from_text(cls, text: str) -> "Graph":
        """The inverse of :meth:`to_text`. Raises InvalidInput for anything that is not such a text."""
        try:
            nodes, adjacency = json.loads(text)
            found = {name: _node(value) for name, value in nodes.items()}
            order = sorted(found, key=lambda name: int(name, 16))
            edges: dict[Resource, tuple[Resource, ...]] = {}
            if not isinstance(adjacency, list):
                raise TypeError("adjacency must be an array")
            for parent, children in adjacency:
                _check_order(parent, children)
                if found[parent] in edges:
                    raise ValueError(f"{parent} is a parent twice")
                edges[found[parent]] = tuple(found[child] for child in children)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise exception.InvalidInput(f"not a resource graph ({error!r}): {text[:200]!r}") from None
        if len(set(found.values())) != len(found):
            raise exception.InvalidInput(f"a resource graph names a resource twice: {text[:200]!r}")
        return cls(tuple(found[name] for name in order), edges)


def _node(value: Sequence[Any]) -> Resource:
    resource_type, resource_id, name, extra_info = value[:4]
    if not all(isinstance(item, str) for item in (resource_type, resource_id)):
        raise TypeError(f"type and id must be texts, not {resource_type!r} and {resource_id!r}")
    return Resource(resource_type, resource_id, name or "", extra_info)


def _check_order(parent: str, children: Sequence[str]) -> None:
    """Post-order is what makes a text free of cycles."""
    for child in children:
        if int(child, 16) >= int(parent, 16):
            raise ValueError(f"child {child} does not come before its parent {parent}")


def walk(starts: Sequence[Resource], find_children: FindChildren) -> Graph:
    """The graph below *starts*. *find_children* is called once per level of the tree, never twice for one resource.

    A start that is also somebody's child is no root. Raises InvalidInput for a cycle, naming its members.
    """
    return _post_order(starts, _discover(starts, find_children))


def _discover(starts: Sequence[Resource], find_children: FindChildren) -> dict[Resource, tuple[Resource, ...]]:
    known = dict.fromkeys(starts)
    # The first sighting of a resource gives it its name; equal ones are replaced by it, so that one object is one node.
    first = {resource: resource for resource in known}
    edges: dict[Resource, tuple[Resource, ...]] = {}
    level = list(known)
    while level:
        found = find_children(level)
        below: list[Resource] = []
        for parent in level:
            children = tuple(first.setdefault(child, child) for child in dict.fromkeys(found.get(parent, ())))
            if children:
                edges[parent] = children
            for child in children:
                if child not in known:
                    known[child] = None
                    below.append(child)
        level = below
    return edges


def _post_order(starts: Sequence[Resource], edges: Mapping[Resource, tuple[Resource, ...]]) -> Graph:
    done: dict[Resource, None] = {}
    # The path from a start to where the walk stands, with the children still to be visited: no recursion, so no limit
    # on depth.
    path: dict[Resource, Iterator[Resource]] = {}
    for start in starts:
        if start in done:
            continue
        path[start] = iter(edges.get(start, ()))
        while path:
            node, children = next(reversed(path.items()))
            child = next((child for child in children if child not in done), None)
            if child is None:
                done[node] = None
                del path[node]
            elif child in path:
                raise _cycle(list(path), child)
            else:
                path[child] = iter(edges.get(child, ()))
    return Graph(tuple(done), edges)


def _cycle(path: list[Resource], again: Resource) -> exception.InvalidInput:
    members = [*path[path.index(again) :], again]
    return exception.InvalidInput(
        f"resources depend on each other in a circle: {' -> '.join(member.key for member in members)}"
    )
