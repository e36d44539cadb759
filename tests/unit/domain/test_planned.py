"""The plan of a checkpoint: what the API shows of it, and which parameters are stored with it."""

from karbor_like.domain import planned


def test_the_api_shows_no_more_than_its_protection_plan():
    plan = {"id": "p", "name": "n", "provider_id": "v", "resources": []}
    assert planned.shown({**plan, "left_out": [], "parameters": {"T": {"a": 1}}, "description": "d"}) == plan


def test_no_secret_is_stored():
    properties = {
        "mode": {"type": "string"},
        "token": {"type": "string", "writeOnly": True},
        "passphrase": {"type": "string", "format": "password"},
    }
    given = {"mode": "full", "token": "t", "passphrase": "p", "unknown": "u"}
    parameters = {"T": given, "T#1": {"token": "t"}, "T#2": {"mode": "x"}, "Other": {"mode": "x"}}
    stored = planned.storable(parameters, {"T": {"properties": properties}, "Other": {}})
    assert stored == {"T": {"mode": "full"}, "T#2": {"mode": "x"}}
