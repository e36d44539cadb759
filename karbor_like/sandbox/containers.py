"""Kubernetes: pods, and the claims and volumes that tests give them. Every caller with the token may do everything."""

from collections.abc import Sequence
from typing import Any

import webob

from karbor_like.sandbox import errors, jobs, state, web

TOKEN = "the-token-of-the-service"  # noqa: S105 - of the sandbox only

_REASONS = {401: "Unauthorized", 404: "NotFound", 409: "Conflict", 422: "Invalid"}
_COLLECTIONS = {"pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim"}


class ContainerService(web.Service):
    """Kubernetes."""

    name = "kubernetes"
    prefix = "kubernetes"

    def __init__(self, store: state.Store, work: jobs.Jobs) -> None:
        self._store = store
        self._jobs = work
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        root = "/api/v1/namespaces/{namespace}/{collection}"
        routes: list[tuple[str, str, web.Handler]] = [
            ("GET", root, self.index),
            ("POST", root, self.create),
            ("GET", root + "/{name}", self.show),
            ("PATCH", root + "/{name}", self.patch),
            ("DELETE", root + "/{name}", self.delete),
            ("POST", "/api/v1/persistentvolumes", self.create_volume),
            ("GET", "/api/v1/persistentvolumes/{name}", self.show_volume),
        ]
        # The token is not one of Keystone.
        return [web.Route(method, path, self._authenticated(handler), public=True) for method, path, handler in routes]

    def render(self, error: errors.ApiError) -> webob.Response:
        reason = _REASONS.get(error.status, "InternalError")
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": error.message}
        return web.answer(error.status, {**body, "reason": reason, "code": error.status})

    def recover(self) -> None:
        """Kubernetes continues by itself what it has begun."""

    @staticmethod
    def _authenticated(handler: web.Handler) -> web.Handler:
        def handle(call: web.Call, **arguments: str) -> webob.Response:
            if call.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise errors.ApiError(401, "Unauthorized")
            return handler(call, **arguments)

        return handle

    def index(self, call: web.Call, namespace: str, collection: str) -> webob.Response:
        found = [each for each in self._store.all(collection) if each["metadata"]["namespace"] == namespace]
        first, limit = int(call.query.get("continue", 0)), int(call.query.get("limit", 500))
        metadata = {"continue": str(first + limit)} if len(found) > first + limit else {}
        return web.answer(body={"kind": "List", "metadata": metadata, "items": found[first : first + limit]})

    def create(self, call: web.Call, namespace: str, collection: str) -> webob.Response:
        body = call.json()
        name = body["metadata"]["name"]
        key = f"{namespace}/{name}"
        if self._store.get(collection, key):
            raise errors.conflict(f'{collection} "{name}" already exists')
        metadata = {**body["metadata"], "namespace": namespace, "uid": web.new_id()}
        made = {**body, "kind": _COLLECTIONS[collection], "metadata": metadata}
        if collection == "pods":
            made["status"] = {"phase": "Pending"}
        self._store.put(collection, key, made)
        if collection == "pods":
            self._jobs.start(
                lambda: self._phase(key, "Running"), lambda reason: self._phase(key, "Failed", reason), call.strikes
            )
        return web.answer(201, made)

    def show(self, call: web.Call, namespace: str, collection: str, name: str) -> webob.Response:
        return web.answer(body=self._get(collection, f"{namespace}/{name}"))

    def patch(self, call: web.Call, namespace: str, collection: str, name: str) -> webob.Response:
        """Merge annotations, which is all that a client here changes."""
        found = self._get(collection, f"{namespace}/{name}")
        merged = {**found["metadata"].get("annotations", {}), **call.json()["metadata"]["annotations"]}
        found["metadata"]["annotations"] = {key: value for key, value in merged.items() if value is not None}
        self._store.put(collection, f"{namespace}/{name}", found)
        return web.answer(body=found)

    def delete(self, call: web.Call, namespace: str, collection: str, name: str) -> webob.Response:
        key = f"{namespace}/{name}"
        found = self._get(collection, key)
        if call.json().get("preconditions", {}).get("uid") not in (None, found["metadata"]["uid"]):
            raise errors.conflict(f'the UID in the precondition does not match that of {collection} "{name}"')
        found["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        self._store.put(collection, key, found)
        self._jobs.start(lambda: self._store.delete(collection, key), lambda reason: None, call.strikes)
        return web.answer(body=found)

    def create_volume(self, call: web.Call) -> webob.Response:
        body = call.json()
        self._store.put("persistentvolumes", body["metadata"]["name"], body)
        return web.answer(201, body)

    def show_volume(self, call: web.Call, name: str) -> webob.Response:
        return web.answer(body=self._get("persistentvolumes", name))

    def _get(self, collection: str, key: str) -> dict[str, Any]:
        found = self._store.get(collection, key)
        if found is None:
            raise errors.not_found(f'{collection} "{key.rpartition("/")[2]}" not found')
        return found

    def _phase(self, key: str, phase: str, reason: str = "") -> None:
        self._store.change("pods", key, status={"phase": phase, **({"message": reason} if reason else {})})
