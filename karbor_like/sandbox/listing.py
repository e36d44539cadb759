"""Paging, filters and sort order of lists, as in Cinder, Nova and Manila."""

import ast
from collections.abc import Mapping, Sequence

from karbor_like.sandbox import errors, state, web

MAX_LIMIT = 1000
FILTERS = frozenset(
    ("id", "name", "status", "size", "volume_id", "snapshot_id", "availability_zone", "volume_type", "bootable")
    + ("resource_uuid", "resource_type", "user_id", "share_id", "resource_id")
)


def select(call: web.Call, documents: Sequence[state.Document]) -> list[state.Document]:
    """Select the documents of the caller's project that match the query; administrators may use ``all_tenants``."""
    everyone = call.identity.is_admin and call.query.get("all_tenants", "0").lower() in ("1", "true", "yes", "")
    wanted = call.query.get("project_id") or call.query.get("tenant_id") if everyone else call.identity.project_id
    return [d for d in documents if wanted in (None, d["project_id"]) and _matches(call.query, d)]


def _matches(query: Mapping[str, str], document: state.Document) -> bool:
    if "metadata" in query:
        pairs = _pairs(query["metadata"])
        if any(document["metadata"].get(key) != value for key, value in pairs.items()):
            return False
    return all(str(document.get(k)).lower() == v.lower() for k, v in query.items() if k in FILTERS and k in document)


def _pairs(text: str) -> dict[str, str]:
    """Parse a metadata filter: cinderclient sends the repr of a dictionary."""
    try:
        pairs = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pairs = None
    if not isinstance(pairs, dict):
        raise errors.bad_request(f"Invalid metadata filter {text!r}: a dictionary is wanted")
    return pairs


def page(call: web.Call, documents: list[state.Document]) -> tuple[list[state.Document], bool]:
    """Return the requested page of a list, by default newest first, and whether another page follows."""
    for key, descending in reversed(_sorting(call.query)):
        documents = sorted(documents, key=lambda d: str(d.get(key) or ""), reverse=descending)
    if marker := call.query.get("marker"):
        ids = [document["id"] for document in documents]
        if marker not in ids:
            raise errors.bad_request(f"Invalid marker: {marker} is not in the list.")
        documents = documents[ids.index(marker) + 1 :]
    documents = documents[_number(call.query, "offset", 0) :]
    limit = min(_number(call.query, "limit", MAX_LIMIT), MAX_LIMIT)
    return documents[:limit], len(documents) > limit > 0


def _sorting(query: Mapping[str, str]) -> list[tuple[str, bool]]:
    if words := query.get("sort"):
        return [(key, way != "asc") for key, _, way in (word.strip().partition(":") for word in words.split(","))]
    return [(query.get("sort_key", "created_at"), query.get("sort_dir", "desc") != "asc")]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise errors.bad_request(f"Invalid {name} {text!r}: it must be a whole number of 0 or more.")
    return int(text)
