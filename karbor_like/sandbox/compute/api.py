"""What the routes of Nova have in common: versions, schemas, policy."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import errors, microversion, web
from karbor_like.sandbox.volume import api

LOWEST, HIGHEST = "2.1", "2.96"
Version = tuple[int, int]

BOOLEAN = api.BOOLEAN
UUID = api.UUID
UUID_OR_NULL = api.UUID_OR_NULL
NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?!\s)[\s\S]*\S$"}
DESCRIPTION = {"type": ["string", "null"], "maxLength": 255}
MOST_TAGS, TAG_LENGTH = 50, 60
TAG = {"type": "string", "minLength": 1, "maxLength": TAG_LENGTH, "pattern": "^[^,/]*$"}
TAGS = {"type": "array", "items": TAG, "maxItems": MOST_TAGS}
IP_ADDRESS = {"type": "string", "format": "ip-address"}
METADATA = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}

checked = api.checked
checked_part = api.checked_part
is_true = api.is_true
require_admin = api.require_admin


@api.FORMATS.checks("ip-address")
def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def version(call: web.Call) -> Version:
    """Return the microversion of a call; see :func:`karbor_like.sandbox.microversion.wanted`."""
    return microversion.wanted(call, "compute", LOWEST, HIGHEST)


def since(call: web.Call, minor: int) -> None:
    """Hide a route from older microversions.

    :raises ApiError: 404, if the microversion of the call is below 2.*minor*
    """
    if version(call) < (2, minor):
        raise errors.not_found("The resource could not be found.")


def growing(wanted: Version, body: Mapping[str, Any], added: Mapping[Version, Mapping[str, Any]]) -> dict[str, Any]:
    """Return *body* with what Nova added in a microversion up to the *wanted* one."""
    return {**body, **{name: value for first in added if first <= wanted for name, value in added[first].items()}}
