import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.api import body, errors, validation
from karbor_like.api.controllers import v1
from tests.fixtures.work import calls

ID = "77aa0000-0000-4000-8000-000000000001"
#: Default of [oslo_middleware] max_request_body_size.
LIMIT = 114_688
#: About 50 milliseconds.
MOST_CALLS = 320_000

BODIES = {
    f"{route.method} {route.path}": validation.validator(route.action.body)
    for route in v1.ROUTES
    if route.action.body is not None
}
WRAPPERS = sorted({next(iter(checker.schema["properties"])) for checker in BODIES.values()})


def plan(resources: Any, parameters: Any = None) -> Any:
    return {"plan": {"name": "x", "provider_id": ID, "resources": resources, "parameters": parameters or {}}}


def resource(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "type": "T", "name": "", **more}


def numbered(count: int, value: Any = 0) -> dict[str, Any]:
    return {f"k{number}": value for number in range(count)}


HOSTILE = {
    "empty resources": plan([{}] * 37_000),
    "numbers as resources": plan([0] * 56_000),
    "empty lists as resources": plan([[]] * 37_000),
    "wrong resources below the limit": plan([{"id": 1, "type": 2, "name": 3}] * 1_000),
    "resources": plan([resource(number) for number in range(1_000)]),
    "resources with parameters": plan([resource(n) for n in range(999)], {"T": numbered(98, None)}),
    "wide extra_info": plan([resource(1, extra_info=numbered(9_000))]),
    "long extra_info": plan([resource(1, extra_info=[0] * 50_000)]),
    "many parameters": plan([resource(1)], numbered(9_000, {})),
    "parameters with members": plan([resource(1)], numbered(960, numbered(4))),
    "many options": plan([resource(1)], {"T": numbered(9_000)}),
    "wrong names of options": plan([resource(1)], {"T": {f"/{number}": [] for number in range(9_000)}}),
    "long text": plan([resource(1)], {"T": {"a": "x" * 110_000}}),
    "long name": {"plan": {"name": "\n" * 50_000}},
    "deep lists": plan(json.loads("[" * 60 + "]" * 60)),
    "a long list": {"plan": [0] * 50_000},
    "unknown members of a plan": {"plan": numbered(9_000)},
    **{f"{name}: some unknown members": {name: numbered(4_900)} for name in WRAPPERS},
    "unknown members": numbered(9_000),
    "ids": {"copy": {"plan_id": ID, "checkpoint_ids": ["x"] * 28_000}},
    "definition": {"scheduled_operation": {"operation_definition": "a=b," * 28_000}},
    "properties": {"trigger_info": {"name": "x", "type": "time", "properties": numbered(9_000)}},
    "credential": {"restore": {"restore_auth": numbered(9_000)}},
}


def cost(raw: bytes, checker: Any) -> int:
    """Return how much work it is to parse and to validate a body."""

    def work() -> None:
        with contextlib.suppress(exception.InvalidInput):
            validation.check(checker, body.parse(raw, "application/json"))

    return calls(work)


def routes_for(value: dict[str, Any]) -> Iterator[str]:
    """Yield the routes whose bodies have the first member of *value*, or all routes."""
    first = next(iter(value))
    matching = [route for route, checker in BODIES.items() if first in checker.schema["properties"]]
    yield from matching or BODIES


@pytest.mark.parametrize("name", HOSTILE)
def test_any_body_costs_little(name):
    raw = json.dumps(HOSTILE[name], separators=(",", ":")).encode()
    assert len(raw) <= LIMIT
    found = {route: cost(raw, BODIES[route]) for route in routes_for(HOSTILE[name])}
    assert max(found.values()) <= MOST_CALLS, found


def test_the_largest_plan_is_accepted():
    resources = [
        {"id": f"{number:032x}", "type": "OS::Cinder::Volume", "name": "a", "extra_info": None} for number in range(990)
    ]
    raw = json.dumps(plan(resources)).encode()
    validation.check(BODIES["POST /plans"], body.parse(raw, "application/json"))


@pytest.mark.parametrize("name", ["empty resources", "wrong resources below the limit", "unknown members"])
def test_a_message_names_ten_fields_at_most(name):
    with pytest.raises(exception.InvalidInput) as caught:
        validation.check(BODIES["POST /plans"], HOSTILE[name])
    assert isinstance(caught.value, errors.InvalidRequest)
    assert len(caught.value.fields) <= 10
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "repeats the name 'a'"),
        (b'[{"b": {"\\u00e9": 1, "\xc3\xa9": 2}}]', r"repeats the name '\\xe9'"),
        (b"1" * 5_000, "5000 digits"),
        (b"-" + b"1" * 100_000, "digits"),
        (b"[NaN]", "NaN is not a JSON value"),
        (b"[-Infinity]", "Infinity"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {}', "not JSON"),
        (b"\xef\xbb\xbf\xef\xbb\xbf[1]", "not JSON"),
        ("[1]".encode("utf-16"), "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
        (b"[" * 66 + b"]" * 66, "64 levels"),
        (b"[" + b"0," * 5_000 + b"0]", "more than 5000 values"),
        (b" \n", "no body"),
    ],
)
def test_malformed_bodies(raw, message):
    with pytest.raises(exception.MalformedRequest, match=message) as caught:
        body.parse(raw, "application/json")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"a": [1e999]}', "a[0]"),
        (b'{"a": -1e999}', "a"),
        (b'{"a": 9223372036854775808}', "a"),
        (b'["\\ud800"]', "[0]"),
        (b'{"\\udfff": 1}', "body"),
        (b'{"a": {"b": "\\u0000"}}', "a.b"),
    ],
)
def test_values_that_a_database_cannot_store(raw, path):
    with pytest.raises(errors.InvalidRequest) as caught:
        body.parse(raw, "application/json")
    assert [field.path for field in caught.value.fields] == [path]


def test_the_media_type_is_named_but_not_all_of_it():
    with pytest.raises(errors.WrongMediaType, match="text/plain"):
        body.parse(b"{}", "text/plain")
    with pytest.raises(errors.WrongMediaType) as caught:
        body.parse(b"{}", "x" * 10_000)
    assert len(str(caught.value)) < 200
