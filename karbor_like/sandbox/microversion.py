"""Negotiation of microversions, as in Cinder, Nova and Manila."""

import re

from karbor_like.sandbox import errors, web

VERSION = re.compile(r"(\d+)\.(\d+|latest)")
HEADERS = {"compute": "X-OpenStack-Nova-API-Version", "shared-file-system": "X-OpenStack-Manila-API-Version"}
"""Headers of single services, by the service's name in the common header."""


def wanted(call: web.Call, service: str, lowest: str, highest: str) -> tuple[int, int]:
    """Return the microversion of a call; *lowest* if the client requests none.

    :raises ApiError: 400 for an invalid version, 406 for an unsupported one
    """
    text = lowest
    for part in call.headers.get("OpenStack-API-Version", "").split(","):
        name, _, version = part.strip().partition(" ")
        if name == service:
            text = version.strip()
    if service in HEADERS:
        text = call.headers.get(HEADERS[service], text)
    if text == "latest":
        text = highest
    match = VERSION.fullmatch(text)
    if match is None:
        raise errors.bad_request(
            f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        )
    if match[2] == "latest":
        match = VERSION.fullmatch(highest)
    version = _numbers(match)
    if not _numbers(VERSION.fullmatch(lowest)) <= version <= _numbers(VERSION.fullmatch(highest)):
        raise errors.ApiError(
            406, f"Version {text} is not supported by the API. Minimum is {lowest} and maximum is {highest}."
        )
    return version


def _numbers(match: re.Match[str] | None) -> tuple[int, int]:
    if match is None:  # only if the constants of a service are wrong
        raise errors.bad_request("not a version")
    return int(match[1]), int(match[2])
