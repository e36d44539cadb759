"""Pages of lists: ``limit``, ``offset``, ``marker``, sorting, and the link to the next page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib import parse

import webob

from karbor_like import exception

_DIRECTIONS = ("asc", "desc")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_DEFAULT_KEY = "created_at"


@dataclass(frozen=True)
class Page:
    """Part of a list. ``sort`` is pairs of a key and "asc" or "desc", in order of precedence."""

    limit: int
    offset: int
    marker: str | None
    sort: Sequence[tuple[str, str]]


def page_of(query: Mapping[str, Any], max_limit: int) -> Page:
    """Return the page that a validated query string selects, of at most *max_limit* items."""
    limit = min(query.get("limit", max_limit), max_limit)
    return Page(limit, query.get("offset", 0), query.get("marker"), _sort_of(query))


def _sort_of(query: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    if "sort" not in query:
        return ((query.get("sort_key", _DEFAULT_KEY), _direction(query.get("sort_dir", "desc"), "sort_dir")),)
    if "sort_key" in query or "sort_dir" in query:
        raise exception.InvalidInput("sort: cannot be given together with sort_key or sort_dir")
    order = []
    for item in query["sort"].split(","):
        key, _, direction = item.strip().partition(":")
        order.append((key.strip(), _direction(direction.strip() or "desc", "sort")))
    return order


def _direction(text: str, field: str) -> str:
    if text not in _DIRECTIONS:
        raise exception.InvalidInput(f"{field}: {text!r} is not a direction; use asc or desc")
    return text


def root_url(request: webob.Request, public_url: str | None) -> str:
    """Return scheme, host and path prefix for links: the configured ones, or those that the client used.

    Middleware has put what a proxy states into *request* if the operator trusts proxies: ``[oslo_middleware]
    enable_proxy_headers_parsing``. With several proxies, the header has a list, to which the nearest one appended.
    """
    if public_url:
        return public_url.rstrip("/")
    host = request.host.split(",")[-1].strip().removesuffix(_DEFAULT_PORTS.get(request.scheme, ""))
    return f"{request.scheme}://{host}{request.script_name}"


def next_link(request: webob.Request, public_url: str | None, marker: str) -> list[dict[str, str]]:
    """Return the link to the page after the item *marker*, with all other parameters of the request."""
    query = [(name, value) for name, value in request.GET.items() if name != "marker"]
    path = parse.quote(request.path_info, safe="/:@!$&'()*+,;=~-._")
    href = f"{root_url(request, public_url)}{path}?{parse.urlencode([*query, ('marker', marker)])}"
    return [{"rel": "next", "href": href}]
