"""Glance v2: routes of images and the form of responses."""

import json
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

import webob

from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.image import images, schema

PATCH = re.compile(r"application/openstack-images-v2(\.1|\.0)?-json-patch")
LIMIT, MAX_LIMIT = 25, 1000
CONTROLS = ("limit", "marker", "sort", "sort_key", "sort_dir", "tag", "visibility", "owner", "member_status")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ImageService(web.Service):
    """Glance."""

    name = "image"
    prefix = "image"

    def __init__(self, store: images.Images, work: jobs.Jobs) -> None:
        self._images = store
        self._jobs = work
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        return (
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/versions", self.versions, public=True),
            web.Route("GET", "/v2/schemas/image", lambda call: web.answer(body=schema.IMAGE)),
            web.Route("GET", "/v2/schemas/images", lambda call: web.answer(body=schema.IMAGES)),
            web.Route("GET", "/v2/schemas/member", lambda call: web.answer(body=schema.MEMBER)),
            web.Route("POST", "/v2/images", self.create),
            web.Route("GET", "/v2/images", self.index),
            web.Route("GET", "/v2/images/{image_id}", self.show),
            web.Route("PATCH", "/v2/images/{image_id}", self.update),
            web.Route("DELETE", "/v2/images/{image_id}", self.delete),
            web.Route("PUT", "/v2/images/{image_id}/file", self.upload),
            web.Route("GET", "/v2/images/{image_id}/file", self.download),
            web.Route("GET", "/v2/images/{image_id}/members", self.list_members),
            web.Route("POST", "/v2/images/{image_id}/members", self.add_member),
            web.Route("PUT", "/v2/images/{image_id}/tags/{tag}", self.add_tag),
            web.Route("DELETE", "/v2/images/{image_id}/tags/{tag}", self.remove_tag),
        )

    def render(self, error: errors.ApiError) -> webob.Response:
        status = webob.Response(status=error.status).status
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1>{error.message}<br /><br /></body></html>"
        return web.text(error.status, page)

    def recover(self) -> None:
        self._images.recover()

    def versions(self, call: web.Call) -> webob.Response:
        link = {"rel": "self", "href": f"{call.base_url}/image/v2/"}
        numbers = [*range(17, -1, -1)]
        versions = [
            {"id": f"v2.{n}", "status": "CURRENT" if n == numbers[0] else "SUPPORTED", "links": [link]} for n in numbers
        ]
        return web.answer(300 if call.path == "/" else 200, {"versions": versions})

    def create(self, call: web.Call) -> webob.Response:
        body = call.json()
        if not isinstance(body, dict):
            raise errors.bad_request("Provided object does not match schema 'image': an object is wanted")
        image = self._images.create(call.identity, body)
        return web.answer(201, _shown(image), {"Location": f"{call.base_url}/image/v2/images/{image['id']}"})

    def show(self, call: web.Call, image_id: str) -> webob.Response:
        return web.answer(body=_shown(self._images.get(call.identity, image_id)))

    def index(self, call: web.Call) -> webob.Response:
        visible = [image for image in self._images.all(call.identity) if _matches(call, image)]
        for key, descending in reversed(_sorting(call)):
            visible.sort(key=lambda image: (image.get(key) is not None, image.get(key) or 0), reverse=descending)
        if marker := call.query.get("marker"):
            ids = [image["id"] for image in visible]
            if marker not in ids:
                raise errors.bad_request(f"Invalid marker: image {marker} could not be found.")
            visible = visible[ids.index(marker) + 1 :]
        limit = _limit(call)
        body: dict[str, Any] = {"images": [_shown(image) for image in visible[:limit]]}
        body |= {"first": "/v2/images", "schema": "/v2/schemas/images"}
        if len(visible) > limit > 0:
            query = call.request.GET.copy()
            query["marker"] = visible[limit - 1]["id"]
            body["next"] = f"/v2/images?{urllib.parse.urlencode(list(query.items()))}"
        return web.answer(body=body)

    def update(self, call: web.Call, image_id: str) -> webob.Response:
        if not PATCH.fullmatch(call.request.content_type):
            raise errors.ApiError(415, "Content-Type must be application/openstack-images-v2.1-json-patch")
        changes = call.json()
        if not isinstance(changes, list):
            raise errors.bad_request("Request body must be a JSON array of operation objects.")

        def change(image: state.Document) -> None:
            for operation in changes:
                _patch(image, operation)

        return web.answer(body=_shown(self._images.update(call.identity, image_id, change)))

    def add_tag(self, call: web.Call, image_id: str, tag: str) -> webob.Response:
        def change(image: state.Document) -> None:
            image["tags"] = sorted({*image["tags"], tag})

        self._images.update(call.identity, image_id, change)
        return web.answer(204)

    def remove_tag(self, call: web.Call, image_id: str, tag: str) -> webob.Response:
        def change(image: state.Document) -> None:
            image["tags"] = [have for have in image["tags"] if have != tag]

        self._images.update(call.identity, image_id, change)
        return web.answer(204)

    def list_members(self, call: web.Call, image_id: str) -> webob.Response:
        self._images.own(call.identity, image_id)
        return web.answer(body={"members": [_member(image_id, member) for member in self._images.members(image_id)]})

    def add_member(self, call: web.Call, image_id: str) -> webob.Response:
        member = call.json()["member"]
        self._images.share(call.identity, image_id, member)
        return web.answer(body=_member(image_id, member))

    def delete(self, call: web.Call, image_id: str) -> webob.Response:
        self._images.delete(call.identity, image_id)
        return web.answer(204)

    def upload(self, call: web.Call, image_id: str) -> webob.Response:
        if call.request.content_type != "application/octet-stream":
            raise errors.ApiError(415, "Content-Type must be application/octet-stream")
        self._images.own(call.identity, image_id)
        self._images.store_bytes(image_id, self._received(call))
        if fault := call.strikes.find(faults.ERROR):
            self._images.kill(image_id)
            raise errors.ApiError(500, fault.reason)
        return web.answer(204)

    def _received(self, call: web.Call) -> Iterator[bytes]:
        """Yield the body. The store takes as long as a fault holds the image."""
        yield from call.chunks()
        if fault := call.strikes.find(faults.HOLD):
            self._jobs.hold(fault)

    def download(self, call: web.Call, image_id: str) -> webob.Response:
        image = self._images.get(call.identity, image_id)
        if image["status"] != "active":
            return web.answer(204)
        start, end = 0, image["size"]
        response = webob.Response(content_type="application/octet-stream")
        if wanted := RANGE.fullmatch(call.headers.get("Range", "")):
            start, end = _range(wanted, image["size"])
            response.status = 206
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{image['size']}"
        else:
            response.headers["Content-MD5"] = image["checksum"]
        try:
            response.app_iter = self._images.read(image, start, end - start)
        except FileNotFoundError:  # deleted after the record was read
            raise errors.not_found(f"No image found with ID {image_id}") from None
        response.content_length = end - start
        return response


def _shown(image: state.Document) -> dict[str, Any]:
    path = f"/v2/images/{image['id']}"
    return {**image, "self": path, "file": f"{path}/file", "schema": "/v2/schemas/image"}


def _member(image_id: str, project_id: str) -> dict[str, Any]:
    return {"image_id": image_id, "member_id": project_id, "status": "pending", "schema": "/v2/schemas/member"}


def _matches(call: web.Call, image: state.Document) -> bool:
    visibility = call.query.get("visibility")
    if visibility not in (None, "all", image["visibility"]):
        return False
    if call.query.get("owner") not in (None, image["owner"]):
        return False
    if not set(call.query.getall("tag")) <= set(image["tags"]):
        return False
    if "os_hidden" not in call.query and image["os_hidden"]:
        return False
    return all(_equal(image, key, value) for key, value in call.query.items() if key not in CONTROLS)


def _equal(image: state.Document, key: str, value: str) -> bool:
    if key in ("size_min", "size_max"):
        size = image["size"] or 0
        return size >= int(value) if key == "size_min" else size <= int(value)
    have = image.get(key)
    if isinstance(have, bool):
        return value.lower() == str(have).lower()
    if value.startswith("in:"):
        return str(have) in [word.strip('"') for word in value[3:].split(",")]
    return have is not None and str(have) == value


def _sorting(call: web.Call) -> list[tuple[str, bool]]:
    if words := call.query.get("sort"):
        pairs = [word.partition(":") for word in words.split(",")]
        return [(key, direction != "asc") for key, _, direction in pairs]
    keys = call.query.getall("sort_key") or ["created_at"]
    directions = call.query.getall("sort_dir") or ["desc"]
    directions = directions if len(directions) == len(keys) else directions[:1] * len(keys)
    return [(key, direction == "desc") for key, direction in zip(keys, directions, strict=True)]


def _limit(call: web.Call) -> int:
    text = call.query.get("limit", str(LIMIT))
    if not text.isdecimal():
        raise errors.bad_request(f"limit param must be an integer, not {text!r}")
    return min(int(text), MAX_LIMIT)


def _range(wanted: re.Match[str], size: int) -> tuple[int, int]:
    first, last = wanted.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise errors.ApiError(416, "The requested range is outside of the image.", {"Content-Range": f"bytes */{size}"})
    return start, end


def _patch(image: state.Document, operation: Any) -> None:
    if (
        not isinstance(operation, dict)
        or "path" not in operation
        or operation.get("op") not in ("add", "replace", "remove")
    ):
        raise errors.bad_request(
            f"Invalid operation {json.dumps(operation)}: op is add, replace or remove, with a path."
        )
    key = str(operation["path"]).removeprefix("/").replace("~1", "/").replace("~0", "~")
    if key in images.READ_ONLY:
        raise errors.forbidden(f"Attribute '{key}' is read-only.")
    if operation["op"] != "add" and key not in image:
        raise errors.conflict(f"Property {key} does not exist.")
    if operation["op"] == "remove":
        if key in images.DEFAULTS:
            raise errors.forbidden(f"Property {key} may not be removed.")
        del image[key]
    elif "value" not in operation:
        raise errors.bad_request(f"Operation {operation['op']!r} on {key!r} needs a 'value'.")
    else:
        image[key] = operation["value"]
