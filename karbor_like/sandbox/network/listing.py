"""Filters, order, pages and fields of lists."""

from typing import Any

from karbor_like.sandbox import web
from karbor_like.sandbox.network import refusal

CONTROL = frozenset({"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"})
MAX_LIMIT = 1000

Objects = list[dict[str, Any]]


def select(call: web.Call, shown: Objects, known: frozenset[str]) -> tuple[Objects, bool]:
    """Return the requested page of objects, and whether another page follows.

    :param known: the attributes that can be filters
    :raises ApiError: 400 for an unknown filter, or a marker that is not in the list
    """
    wanted: dict[str, set[str]] = {}
    for name, value in call.query.items():
        if name not in CONTROL:
            wanted.setdefault(name, set()).add(value.lower())
    unknown = sorted(set(wanted) - known - {"tenant_id", "project_id", "id", "tags", "revision_number", "status"})
    if unknown:
        raise refusal.invalid(f"{unknown} is invalid attribute for filtering")
    found = [each for each in shown if all(_matches(each, name, values) for name, values in wanted.items())]
    found.sort(key=lambda each: str(each.get(call.query.get("sort_key", "id"), "")))
    if call.query.get("sort_dir") == "desc":
        found.reverse()
    if marker := call.query.get("marker"):
        ids = [each["id"] for each in found]
        if marker not in ids:
            raise refusal.missing("Marker", marker)
        found = found[ids.index(marker) + 1 :]
    limit = call.query.get("limit", "0")
    if not limit.isdecimal():
        raise refusal.invalid(f"Invalid input for limit. Reason: {limit!r} is not a number.")
    # Like Neutron, a full page says that another one follows, without looking.
    size = min(int(limit), MAX_LIMIT)
    return (found[:size], len(found) >= size) if size else (found, False)


def fields(call: web.Call, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an object that the query asks for."""
    names = call.query.getall("fields")
    return {name: value for name, value in shown.items() if name in names} if names else shown


def _matches(each: dict[str, Any], name: str, values: set[str]) -> bool:
    value = each.get(name)
    if name == "tags":
        return {tag for text in values for tag in text.split(",")} <= {tag.lower() for tag in value or ()}
    return str("" if value is None else value).lower() in values
