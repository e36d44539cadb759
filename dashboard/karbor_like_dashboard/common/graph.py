"""The graph of resources: drawn, with a colour for each state, and the same facts as rows of a table."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import ngettext

from karbor_like_dashboard.common import texts, trees

#: Resources that are drawn at most. A drawing of more could not be read, and there is only the table.
MOST_DRAWN = 60

# In pixels.
_WIDTH, _HEIGHT = 200, 58
_GAP_X, _GAP_Y = 70, 14
_MARGIN = 4

#: Characters of a name that are drawn; the title that a browser shows has all of it.
_CHARACTERS = 26

_TONES = {True: "good", False: "bad", None: "active"}
_TONE_OF = {status: _TONES[is_good] for status, is_good in texts.STATUS_CHOICES}


def context(roots: Iterable[trees.Node]) -> dict[str, Any]:
    """Return what the template ``resources.html`` shows of trees of resources. Each resource is shown once."""
    nodes = list(trees.flat(roots))
    edges = [*dict.fromkeys((node.key, child.key) for node in nodes for child in node.children)]
    above: dict[str, list[str]] = {}
    names = {node.key: node.name for node in nodes}
    for upper, lower in edges:
        above.setdefault(lower, []).append(names[upper])
    rows = [{"node": node, "used_by": ", ".join(above.get(node.key, ()))} for node in nodes]
    return {
        "rows": rows,
        "most": MOST_DRAWN,
        "drawing": _drawing(nodes, edges) if 0 < len(nodes) <= MOST_DRAWN else None,
    }


def _levels(nodes: Iterable[trees.Node], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the length of the longest path that leads to each resource. What is part of a cycle, or below it, has 0."""
    levels = {node.key: 0 for node in nodes}
    lower: dict[str, list[str]] = {}
    open_edges = dict.fromkeys(levels, 0)
    for upper, below in edges:
        lower.setdefault(upper, []).append(below)
        open_edges[below] += 1
    ready = [key for key, count in open_edges.items() if not count]
    for key in ready:
        for below in lower.get(key, ()):
            levels[below] = max(levels[below], levels[key] + 1)
            open_edges[below] -= 1
            if not open_edges[below]:
                ready.append(below)
    return {key: level if not open_edges[key] else 0 for key, level in levels.items()}


def _columns(nodes: Iterable[trees.Node], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return the keys of all resources by column: right of all that use them, and near these."""
    levels = _levels(nodes, edges)
    columns: list[list[str]] = [[] for _ in range(max(levels.values()) + 1)]
    for key, level in levels.items():
        columns[level].append(key)
    rows: dict[str, int] = {}
    for column in columns:
        users = {key: [rows[upper] for upper, lower in edges if lower == key and upper in rows] for key in column}
        column.sort(key=lambda key, users=users: sum(users[key]) / len(users[key]) if users[key] else 0)  # type: ignore[misc]
        rows.update({key: row for row, key in enumerate(column)})
    return columns


def _without_detours(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the edges without those that a longer path replaces: their lines would cross the boxes on that path."""
    known = list(edges)
    below: dict[str, list[str]] = {}
    for upper, lower in known:
        below.setdefault(upper, []).append(lower)

    def reached(start: str) -> set[str]:
        found, waiting = set[str](), [start]
        while waiting:
            new = set(below.get(waiting.pop(), ())) - found
            found |= new
            waiting += new
        return found

    further = {key: reached(key) for key in below}

    def is_detour(upper: str, lower: str) -> bool:
        others = (further[other] for other in below[upper] if other != lower and other in further)
        # In a cycle, each edge has a detour.
        return any(lower in found and upper not in found for found in others)

    return [(upper, lower) for upper, lower in known if not is_detour(upper, lower)]


def _drawing(nodes: list[trees.Node], edges: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the places of boxes and lines. All numbers are texts, which no language formats in its own way."""
    columns = _columns(nodes, edges)
    direct = _without_detours(edges)
    by_key = {node.key: node for node in nodes}
    highest = max(len(column) for column in columns) * (_HEIGHT + _GAP_Y) - _GAP_Y
    places: dict[str, tuple[int, int]] = {}
    for number, column in enumerate(columns):
        # Each column is centred.
        top = (highest - len(column) * (_HEIGHT + _GAP_Y) + _GAP_Y) // 2
        for row, key in enumerate(column):
            places[key] = _MARGIN + number * (_WIDTH + _GAP_X), _MARGIN + top + row * (_HEIGHT + _GAP_Y)
    boxes = [
        {
            "node": by_key[key],
            "label": _short(by_key[key].name),
            "tone": _TONE_OF.get(by_key[key].status, "none"),
            "x": str(x),
            "y": str(y),
        }
        for key, (x, y) in places.items()
    ]
    lines = [_line(places[upper], places[lower]) for upper, lower in direct]
    return {
        "boxes": boxes,
        "lines": lines,
        "width": str(2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X),
        "height": str(2 * _MARGIN + highest),
        "box_width": str(_WIDTH),
        "box_height": str(_HEIGHT),
        "summary": ngettext("%d resource", "%d resources", len(nodes)) % len(nodes),
    }


def _short(name: str) -> str:
    return name if len(name) <= _CHARACTERS else f"{name[: _CHARACTERS - 1]}…"


def _line(upper: tuple[int, int], lower: tuple[int, int]) -> str:
    """Return the path from the right edge of a box to the left edge of another one."""
    x1, y1 = upper[0] + _WIDTH, upper[1] + _HEIGHT // 2
    x2, y2 = lower[0], lower[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
