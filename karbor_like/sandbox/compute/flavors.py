"""Flavors, which are always the same."""

from typing import Any

import webob

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import api

FLAVORS: dict[str, dict[str, Any]] = {
    "1": {"name": "m1.tiny", "ram": 512, "vcpus": 1, "disk": 1},
    "2": {"name": "m1.small", "ram": 2048, "vcpus": 1, "disk": 20},
    "3": {"name": "m1.medium", "ram": 4096, "vcpus": 2, "disk": 40},
}


def routes() -> list[web.Route]:
    return [
        web.Route("GET", "/v2.1/flavors", _index),
        web.Route("GET", "/v2.1/flavors/detail", _detail),
        web.Route("GET", "/v2.1/flavors/{key}", _show),
        web.Route("GET", "/v2.1/flavors/{key}/os-extra_specs", _extra_specs),
    ]


def get(key: str) -> dict[str, Any]:
    """Return a flavor.

    :raises ApiError: 404
    """
    if key not in FLAVORS:
        raise errors.not_found(f"Flavor {key} could not be found.")
    return FLAVORS[key]


def embedded(key: str, version: api.Version) -> dict[str, Any]:
    """Return a flavor in the form in which a server shows it: by its id, or without it from 2.47 on."""
    if version < (2, 47):
        return {"id": key, "links": []}
    flavor = FLAVORS[key]
    shown = {"original_name": flavor["name"], "ram": flavor["ram"], "vcpus": flavor["vcpus"], "disk": flavor["disk"]}
    return {**shown, "ephemeral": 0, "swap": 0, "extra_specs": {}}


def check_image(key: str, image: state.Document) -> None:
    """Check that a server of a flavor can have an image on its own disk.

    :raises ApiError: 400, if the image needs more memory, or a larger disk
    """
    flavor = FLAVORS[key]
    if image["min_ram"] > flavor["ram"]:
        raise errors.bad_request("Flavor's memory is too small for requested image.")
    if image["min_disk"] > flavor["disk"] or (image["size"] or 0) > flavor["disk"] << 30:
        raise errors.bad_request("Flavor's disk is too small for requested image.")


def _index(call: web.Call) -> webob.Response:
    return web.answer(body={"flavors": [{"id": key, "name": f["name"], "links": []} for key, f in FLAVORS.items()]})


def _detail(call: web.Call) -> webob.Response:
    version = api.version(call)
    return web.answer(body={"flavors": [_shown(key, version) for key in FLAVORS]})


def _show(call: web.Call, key: str) -> webob.Response:
    get(key)
    return web.answer(body={"flavor": _shown(key, api.version(call))})


def _extra_specs(call: web.Call, key: str) -> webob.Response:
    get(key)
    return web.answer(body={"extra_specs": {}})


def _shown(key: str, version: api.Version) -> dict[str, Any]:
    flavor = {"id": key, **FLAVORS[key], "rxtx_factor": 1.0, "links": []}
    flavor |= {"swap": 0 if version >= (2, 75) else "", "OS-FLV-EXT-DATA:ephemeral": 0}
    flavor |= {"OS-FLV-DISABLED:disabled": False, "os-flavor-access:is_public": True}
    return api.growing(version, flavor, {(2, 55): {"description": None}, (2, 61): {"extra_specs": {}}})
