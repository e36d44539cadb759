"""What the routes of volumes, snapshots, backups and groups have in common: versions, lists, metadata, actions, schemas."""

import base64
import binascii
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import webob

from karbor_like.sandbox import errors, listing, microversion, state, web
from karbor_like.sandbox.volume import records

LOWEST, HIGHEST = "3.0", "3.71"
TRUTHS = (True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t")
FALSEHOODS = (False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f")
Shown = Callable[[web.Call, state.Document], dict[str, Any]]

BOOLEAN = {"enum": [*TRUTHS, *FALSEHOODS]}
NAME = {"type": ["string", "null"], "maxLength": records.NAME_LENGTH}
TEXT_OR_NULL = {"type": ["string", "null"]}
UUID = {"type": "string", "format": "uuid"}
UUID_OR_NULL = {"type": ["string", "null"], "format": "uuid"}
METADATA = {
    "type": ["object", "null"],
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
FORMATS = jsonschema.FormatChecker(())


@FORMATS.checks("uuid")
def _is_uuid(value: Any) -> bool:
    if value is None:
        return True
    try:
        return str(uuid.UUID(value)) == str(value).lower()
    except (TypeError, ValueError, AttributeError):
        return False


@FORMATS.checks("base64")
def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value)
    except (TypeError, ValueError, binascii.Error):
        return False
    return True


def version(call: web.Call) -> tuple[int, int]:
    """Return the microversion of a call; see :func:`karbor_like.sandbox.microversion.wanted`."""
    return microversion.wanted(call, "volume", LOWEST, HIGHEST)


def since(call: web.Call, minor: int) -> None:
    """Hide a route from older microversions, as Cinder does.

    :raises ApiError: 404, if the microversion of the call is below 3.*minor*
    """
    if version(call) < (3, minor):
        raise errors.not_found("The resource could not be found.")


def checked(
    call: web.Call,
    name: str,
    properties: Mapping[str, Any],
    *required: str,
    additional: Any = False,
    beside: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the object under *name* in the body. It must have the required properties, and no unknown ones.

    :param additional: schema of unknown properties, if there may be some
    :param beside: what else the body may have
    :raises ApiError: 400 in the words of Cinder and Nova
    """
    member = {"type": "object", "properties": properties, "additionalProperties": additional}
    member |= {"required": list(required)} if required else {}
    return checked_part(call, name, member, beside)


def checked_part(call: web.Call, name: str, member: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> Any:
    """Return what is under *name* in the body, according to the schema *member*; see :func:`checked`."""
    known = {name: member, **(beside or {})}
    schema = {"type": "object", "properties": known, "required": [name], "additionalProperties": False}
    body = call.json()
    for error in jsonschema.Draft4Validator(schema, format_checker=FORMATS).iter_errors(body):
        text = error.message
        if error.path:
            text = f"Invalid input for field/attribute {error.path.pop()}. Value: {error.instance}. {text}"
        raise errors.bad_request(text)
    return body[name]


def is_true(value: Any) -> bool:
    """Return whether a value that :data:`BOOLEAN` allows means true."""
    return value in TRUTHS


def action(call: web.Call) -> tuple[str, dict[str, Any]]:
    """Return name and parameters of the action in the body.

    :raises ApiError: 400, if the body is not an object with one action in it
    """
    body = call.json()
    if not isinstance(body, dict) or len(body) != 1:
        raise errors.bad_request("The body must be an object with one action in it.")
    name, values = next(iter(body.items()))
    return name, values if isinstance(values, dict) else {}


def unknown(name: str) -> errors.ApiError:
    """Return the error for an action that does not exist."""
    return errors.bad_request(
        f"There is no such action: {name}. Verify the request body and Content-Type header and try again."
    )


def require_admin(call: web.Call, rule: str) -> None:
    """Allow a call to administrators only.

    :raises ApiError: 403
    """
    if not call.identity.is_admin:
        raise errors.forbidden(f"Policy doesn't allow {rule} to be performed.")


def brief(call: web.Call, document: state.Document) -> dict[str, Any]:
    """Return the form of a document in lists without details."""
    return {"id": document["id"], "name": document["name"], "links": []}


def readers(noun: str, store: records.Records, shown: Shown, brief: Shown = brief) -> list[web.Route]:
    """Create the routes for list and show."""
    collection = f"/v3/{noun}s"

    def index(call: web.Call, view: Shown) -> webob.Response:
        documents, more = listing.page(call, listing.select(call, store.all()))
        body: dict[str, Any] = {f"{noun}s": [view(call, document) for document in documents]}
        if more:
            query = {**call.query, "marker": documents[-1]["id"]}
            href = f"{call.base_url}/volume{call.path}?{urllib.parse.urlencode(query)}"
            body[f"{noun}s_links"] = [{"rel": "next", "href": href}]
        return web.answer(body=body)

    def show(call: web.Call, key: str) -> webob.Response:
        return web.answer(body={noun: shown(call, store.get(call.identity, key))})

    return [
        web.Route("GET", collection, lambda call: index(call, brief)),
        web.Route("GET", f"{collection}/detail", lambda call: index(call, shown)),
        web.Route("GET", f"{collection}/{{key}}", show),
    ]


def writers(noun: str, store: records.Records, shown: Shown) -> list[web.Route]:
    """Create the routes for update and metadata, which are the same for volumes and snapshots."""

    def update(call: web.Call, key: str) -> webob.Response:
        return web.answer(body={noun: shown(call, store.update(call.identity, key, call.member(noun)))})

    def show_metadata(call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"metadata": store.get(call.identity, key)["metadata"]})

    def merge_metadata(call: web.Call, key: str) -> webob.Response:
        new = call.member("metadata")
        return web.answer(body={"metadata": store.change_metadata(call.identity, key, lambda old: {**old, **new})})

    def replace_metadata(call: web.Call, key: str) -> webob.Response:
        new = call.member("metadata")
        return web.answer(body={"metadata": store.change_metadata(call.identity, key, lambda _: new)})

    def delete_metadata(call: web.Call, key: str, item: str) -> webob.Response:
        if item not in store.get(call.identity, key)["metadata"]:
            raise errors.not_found(f"{store.title} {key} has no metadata with key {item}.")
        store.change_metadata(call.identity, key, lambda old: {k: v for k, v in old.items() if k != item})
        return web.answer(200)

    item = f"/v3/{noun}s/{{key}}"
    return [
        web.Route("PUT", item, update),
        web.Route("GET", f"{item}/metadata", show_metadata),
        web.Route("POST", f"{item}/metadata", merge_metadata),
        web.Route("PUT", f"{item}/metadata", replace_metadata),
        web.Route("DELETE", f"{item}/metadata/{{item}}", delete_metadata),
    ]
