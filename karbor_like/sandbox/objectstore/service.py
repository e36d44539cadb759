"""Swift v1: routes, headers and listings."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import webob

from karbor_like.sandbox import errors, web
from karbor_like.sandbox.objectstore import objects

MAX_LISTING = 10_000
MAX_OBJECT = 5 << 30
KEPT = ("content-encoding", "content-disposition")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ObjectStoreService(web.Service):
    """Swift."""

    name = "object-store"
    prefix = "object-store"

    def __init__(self, store: objects.Objects) -> None:
        self._objects = store
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        account, container, item = "/v1/{account}", "/v1/{account}/{container}", "/v1/{account}/{container}/{name:*}"
        return (
            web.Route("GET", account, self.show_account),
            web.Route("HEAD", account, self.show_account),
            web.Route("PUT", container, self.make_container),
            web.Route("POST", container, self.change_container),
            web.Route("GET", container, self.show_container),
            web.Route("HEAD", container, self.show_container),
            web.Route("DELETE", container, self.delete_container),
            web.Route("PUT", item, self.put),
            web.Route("POST", item, self.change),
            web.Route("GET", item, self.get),
            web.Route("HEAD", item, self.get),
            web.Route("DELETE", item, self.delete),
        )

    def render(self, error: errors.ApiError) -> webob.Response:
        title = webob.Response(status=error.status).status.partition(" ")[2]
        return web.text(error.status, f"<html><h1>{title}</h1><p>{error.message}</p></html>")

    def finish(self, call: web.Call, response: webob.Response) -> None:
        response.headers["X-Trans-Id"] = f"tx{web.new_id()}"

    def recover(self) -> None:
        self._objects.recover()

    @staticmethod
    def _own(call: web.Call, account: str) -> None:
        """Check that the account is that of the caller's project: Swift has no cloud-wide administrator."""
        if account != f"AUTH_{call.identity.project_id}":
            raise errors.forbidden("Access was denied to this resource.")

    # accounts and containers

    def show_account(self, call: web.Call, account: str) -> webob.Response:
        self._own(call, account)
        containers = self._objects.containers(account)
        count, size = self._objects.usage(account)
        headers = {"X-Account-Container-Count": len(containers), "X-Account-Object-Count": count}
        headers["X-Account-Bytes-Used"] = size
        wanted = _selection(call)
        listed = []
        for container in containers:
            name = container["name"]
            if name.startswith(wanted.prefix) and name > wanted.marker:
                held, held_bytes = self._objects.usage(account, name)
                listed.append(
                    {"name": name, "count": held, "bytes": held_bytes, "last_modified": _iso(container["created"])}
                )
        return _listing(call, listed[: wanted.limit], headers)

    def make_container(self, call: web.Call, account: str, container: str) -> webob.Response:
        self._own(call, account)
        if len(container.encode()) > 256:
            raise errors.bad_request("Container name length of more than 256 bytes")
        new = self._objects.make_container(account, container, _meta(call, "x-container-"))
        return web.answer(201 if new else 202)

    def change_container(self, call: web.Call, account: str, container: str) -> webob.Response:
        self._own(call, account)
        self._objects.container(account, container)
        self._objects.make_container(account, container, _meta(call, "x-container-"))
        return web.answer(204)

    def show_container(self, call: web.Call, account: str, container: str) -> webob.Response:
        self._own(call, account)
        document = self._objects.container(account, container)
        count, size = self._objects.usage(account, container)
        headers = {**document["headers"], "X-Container-Object-Count": count, "X-Container-Bytes-Used": size}
        if call.method == "HEAD":
            return web.answer(204, headers={key: str(value) for key, value in headers.items()})
        return _listing(call, [_entry(o) for o in self._objects.listing(account, container, _selection(call))], headers)

    def delete_container(self, call: web.Call, account: str, container: str) -> webob.Response:
        self._own(call, account)
        self._objects.remove_container(account, container)
        return web.answer(204)

    # objects

    def put(self, call: web.Call, account: str, container: str, name: str) -> webob.Response:
        self._own(call, account)
        self._objects.container(account, container)
        if len(name.encode()) > 1024:
            raise errors.bad_request("Object name length of more than 1024 bytes")
        if call.request.content_length is None and not call.has_body:
            raise errors.ApiError(411, "Content-Length is missing.")
        if (call.request.content_length or 0) > MAX_OBJECT:
            raise errors.ApiError(413, "Your request is too large.")
        if call.headers.get("If-None-Match") == "*" and self._objects.exists(account, container, name):
            raise errors.ApiError(412, "A precondition for this request was not met.")
        try:
            stored = self._objects.put(
                *(account, container, name, call.chunks()),
                call.headers.get("Content-Type") or "application/octet-stream",
                headers=_meta(call, "x-object-meta-"),
                etag=call.headers.get("ETag", "").strip('"').lower() or None,
            )
        except web.Cut:
            raise
        except errors.ShortBody:
            raise errors.ApiError(499, "Client disconnected before the whole object was sent.") from None
        return web.answer(201, headers={"ETag": stored.etag, "Last-Modified": _http_date(stored)})

    def get(self, call: web.Call, account: str, container: str, name: str) -> webob.Response:
        self._own(call, account)
        while True:
            stored = self._objects.get(account, container, name)
            try:
                return self._show(call, stored)
            except FileNotFoundError:
                continue  # replaced or deleted meanwhile

    def _show(self, call: web.Call, stored: objects.StoredObject) -> webob.Response:
        start, end = 0, stored.size
        response = webob.Response(content_type=stored.content_type, charset=None)
        response.headers.update(stored.headers)
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["ETag"] = stored.etag
        response.headers["Last-Modified"] = _http_date(stored)
        response.headers["X-Timestamp"] = f"{stored.modified:.5f}"
        wanted = RANGE.fullmatch(call.headers.get("Range", ""))
        if wanted and call.method == "GET":
            start, end = _range(wanted, stored.size)
            response.status = 206
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
        if call.method == "GET":
            response.app_iter = self._objects.read(stored, start, end - start)
        response.content_length = end - start
        return response

    def change(self, call: web.Call, account: str, container: str, name: str) -> webob.Response:
        self._own(call, account)
        self._objects.set_headers(account, container, name, _meta(call, "x-object-meta-"))
        return web.answer(202)

    def delete(self, call: web.Call, account: str, container: str, name: str) -> webob.Response:
        self._own(call, account)
        self._objects.delete(account, container, name)
        return web.answer(204)


def _meta(call: web.Call, prefix: str) -> dict[str, str]:
    return {k: v for k, v in call.headers.items() if k.lower().startswith(prefix) or k.lower() in KEPT}


def _selection(call: web.Call) -> objects.Selection:
    limit = call.query.get("limit", str(MAX_LISTING))
    if not limit.isdecimal() or int(limit) > MAX_LISTING:
        raise errors.ApiError(412, f"Maximum limit is {MAX_LISTING}")
    texts = {key: call.query.get(key, "") for key in ("prefix", "marker", "end_marker", "delimiter")}
    return objects.Selection(**texts, limit=int(limit))


def _entry(listed: objects.StoredObject | str) -> dict[str, Any]:
    if isinstance(listed, str):
        return {"subdir": listed}
    return {
        "name": listed.name,
        "hash": listed.etag,
        "bytes": listed.size,
        "content_type": listed.content_type,
        "last_modified": _iso(listed.modified),
    }


def _listing(call: web.Call, entries: list[dict[str, Any]], headers: dict[str, Any]) -> webob.Response:
    texts = {key: str(value) for key, value in headers.items()}
    if call.query.get("format") == "json" or "application/json" in call.headers.get("Accept", ""):
        return web.answer(200, entries, texts)
    names = "".join(f"{entry.get('name') or entry.get('subdir')}\n" for entry in entries)
    return web.text(200, names, "text/plain", texts) if names else web.answer(204, headers=texts)


def _range(wanted: re.Match[str], size: int) -> tuple[int, int]:
    first, last = wanted.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise errors.ApiError(416, "The Range requested is not available.", {"Content-Range": f"bytes */{size}"})
    return start, end


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _http_date(stored: objects.StoredObject) -> str:
    return formatdate(stored.modified, usegmt=True)
