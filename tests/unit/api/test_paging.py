import pytest
import webob

from karbor_like import exception
from karbor_like.api import paging


def test_what_is_asked_when_nothing_is():
    assert paging.page_of({}, 1000) == paging.Page(1000, 0, None, (("created_at", "desc"),))


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ({"sort": "name"}, [("name", "desc")]),
        ({"sort": "name:asc,id"}, [("name", "asc"), ("id", "desc")]),
        ({"sort": " name : asc "}, [("name", "asc")]),
        ({"sort_key": "name"}, [("name", "desc")]),
        ({"sort_dir": "asc"}, [("created_at", "asc")]),
        ({"sort_key": "id", "sort_dir": "asc"}, [("id", "asc")]),
    ],
)
def test_sorting(query, sort):
    assert list(paging.page_of(query, 10).sort) == sort


@pytest.mark.parametrize("query", [{"sort": "a:up"}, {"sort": "a", "sort_key": "a"}, {"sort": "a", "sort_dir": "asc"}])
def test_sorting_that_cannot_be(query):
    with pytest.raises(exception.InvalidInput, match="sort"):
        paging.page_of(query, 10)


@pytest.mark.parametrize(("limit", "effective"), [(1, 1), (10, 10), (11, 10), (10**30, 10)])
def test_the_limit_is_bounded(limit, effective):
    assert paging.page_of({"limit": limit}, 10).limit == effective


@pytest.mark.parametrize(
    ("headers", "public", "root"),
    [
        ({}, None, "http://api.example.net:8799"),
        ({"X-Forwarded-Host": "a, b.example.net:1"}, None, "http://api.example.net:8799"),
        ({"Host": "a, b.example.net:1"}, None, "http://b.example.net:1"),
        ({"Host": "a"}, "https://p.example.net/x/", "https://p.example.net/x"),
    ],
)
def test_links(headers, public, root):
    request = webob.Request.blank(
        "/v1/p/plans?limit=1&marker=old&name=a%20b%26c&sort=name:asc", base_url="http://api.example.net:8799"
    )
    request.headers.update(headers)
    ((link),) = paging.next_link(request, public, "new")
    assert link == {
        "rel": "next",
        "href": f"{root}/v1/p/plans?limit=1&name=a+b%26c&sort=name%3Aasc&marker=new",
    }
