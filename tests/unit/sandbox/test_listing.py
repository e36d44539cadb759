"""Filters, order and pages of lists."""

from typing import Any

import pytest
import webob
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.sandbox import errors, faults, listing, web

DOCUMENTS = [
    {"id": str(n), "name": f"n{n % 3}", "project_id": "pq"[n % 2], "metadata": {"k": str(n)}, "created_at": f"{n:03}"}
    for n in range(10)
]


def call(query: str, role: str = "member") -> web.Call:
    created = web.Call(webob.Request.blank(f"/?{query}"), "/", faults.Strikes(), lambda _: errors.ShortBody(""))
    created.identity = web.Identity("u", "u", "p", frozenset({role}), "t")
    return created


def ids(documents: list[dict[str, Any]]) -> str:
    return "".join(document["id"] for document in documents)


@pytest.mark.parametrize(
    ("query", "role", "found"),
    [
        ("", "member", "02468"),
        ("all_tenants=1", "member", "02468"),
        ("all_tenants=1", "admin", "0123456789"),
        ("all_tenants=True&project_id=q", "admin", "13579"),
        ("project_id=q", "admin", "02468"),
        ("name=n0", "member", "06"),
        ("metadata=%7B%27k%27%3A+%274%27%7D", "member", "4"),
        ("unknown=x", "member", "02468"),
    ],
)
def test_selection(query: str, role: str, found: str) -> None:
    assert ids(listing.select(call(query, role), DOCUMENTS)) == found


@pytest.mark.parametrize(
    ("query", "found", "more"),
    [
        ("", "9876543210", False),
        ("limit=3", "987", True),
        ("limit=3&marker=7", "654", True),
        ("marker=2", "10", False),
        ("offset=8", "10", False),
        ("sort=name:asc,id:desc&limit=4", "9630", True),
        ("sort_key=id&sort_dir=asc", "0123456789", False),
        ("limit=0", "", False),
    ],
)
def test_pages(query: str, found: str, more: bool) -> None:
    page, follows = listing.page(call(query), DOCUMENTS)
    assert (ids(page), follows) == (found, more)


@given(limit=st.integers(1, 12))
def test_pages_together_are_the_whole_list(limit: int) -> None:
    seen, marker, more = "", "", True
    while more:
        page, more = listing.page(call(f"limit={limit}{marker}"), DOCUMENTS)
        seen += ids(page)
        marker = f"&marker={page[-1]['id']}"
    assert seen == "9876543210"


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "marker=none-such", "metadata=x", "metadata=[1]"])
def test_invalid_input_is_refused(query: str) -> None:
    with pytest.raises(errors.ApiError) as error:
        listing.page(call(query), listing.select(call(query), DOCUMENTS))
    assert error.value.status == 400
