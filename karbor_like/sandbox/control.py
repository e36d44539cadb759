"""The sandbox's own API under ``/sandbox``, for tests and the demo: data, faults, calls, settings, tokens.

It requires no token: every process that can reach the loopback address may use it.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import webob

from karbor_like.sandbox import errors, faults, files, state, web
from karbor_like.sandbox.identity import tokens
from karbor_like.sandbox.share import shares
from karbor_like.sandbox.volume import extents, snapshots, volumes


class ControlService(web.Service):
    """Control of the sandbox, without a counterpart in OpenStack."""

    name = "sandbox"
    prefix = "sandbox"

    def __init__(
        self,
        store: state.Store,
        settings: state.Settings,
        switchboard: faults.Switchboard,
        token_store: tokens.Tokens,
        volume_store: volumes.Volumes,
        snapshot_store: snapshots.Snapshots,
        share_store: shares.Shares,
    ) -> None:
        self._store = store
        self._settings = settings
        self._switchboard = switchboard
        self._tokens = token_store
        self._volumes = volume_store
        self._snapshots = snapshot_store
        self._shares = share_store
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        table = (
            ("GET", "/settings", self.show_settings),
            ("PUT", "/settings", self.change_settings),
            ("POST", "/faults", self.add_fault),
            ("GET", "/faults", self.list_faults),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/{fault_id}", self.clear_fault),
            ("GET", "/calls", self.list_calls),
            ("DELETE", "/calls", self.forget_calls),
            ("POST", "/tokens/expire", self.expire_tokens),
            ("PUT", "/volumes/{volume_id}/data", self.write_volume),
            ("GET", "/volumes/{volume_id}/data", self.read_volume),
            ("GET", "/volumes/{volume_id}/digest", self.digest_volume),
            ("GET", "/{kind}/{key}/extents", self.show_extents),
            ("GET", "/{kind}/{key}/bytes", self.read_bytes),
            ("PUT", "/shares/{share_id}/content", self.write_share),
            ("GET", "/shares/{share_id}/content", self.read_share),
        )
        return [web.Route(method, path, handler, public=True) for method, path, handler in table]

    def show_settings(self, call: web.Call) -> webob.Response:
        return web.answer(body=dataclasses.asdict(self._settings))

    def change_settings(self, call: web.Call) -> webob.Response:
        """Change the settings in the body; endpoints are merged with the existing ones."""
        values = call.json()
        known = dataclasses.asdict(self._settings)
        if not isinstance(values, dict) or set(values) - set(known):
            raise errors.bad_request(f"unknown setting; expected some of {', '.join(known)}")
        endpoints = {**self._settings.endpoints, **values.pop("endpoints", {})}
        for name, value in {**values, "endpoints": endpoints}.items():
            setattr(self._settings, name, value)
        self._settings.save(self._store)
        return self.show_settings(call)

    def add_fault(self, call: web.Call) -> webob.Response:
        body = call.json()
        if not isinstance(body, dict):
            raise errors.bad_request("fault: expected a JSON object")
        return web.answer(201, self._switchboard.add(body).to_dict())

    def list_faults(self, call: web.Call) -> webob.Response:
        return web.answer(body={"faults": [fault.to_dict() for fault in self._switchboard.all()]})

    def clear_faults(self, call: web.Call) -> webob.Response:
        self._switchboard.clear()
        return web.answer(204)

    def clear_fault(self, call: web.Call, fault_id: str) -> webob.Response:
        self._switchboard.clear(int(fault_id))
        return web.answer(204)

    def list_calls(self, call: web.Call) -> webob.Response:
        """List the calls so far; ``service``, ``method`` and ``path`` select as in a fault."""
        wanted = {key: call.query.get(key, "") for key in ("service", "method", "path")}
        return web.answer(body={"calls": [dataclasses.asdict(c) for c in self._switchboard.calls(**wanted)]})

    def forget_calls(self, call: web.Call) -> webob.Response:
        self._switchboard.forget_calls()
        return web.answer(204)

    def expire_tokens(self, call: web.Call) -> webob.Response:
        """Expire ``{"token": id}``, or every token of ``{"user_id": id}``."""
        body = call.json()
        if "token" in body:
            self._tokens.expire(body["token"])
            return web.answer(body={"expired": 1})
        return web.answer(body={"expired": self._tokens.expire_of_user(body["user_id"])})

    def write_volume(self, call: web.Call, volume_id: str) -> webob.Response:
        """Overwrite the data of a volume with the body, from ``offset`` on; the rest stays unchanged."""
        volume = self._volume(volume_id)
        path, size = self._volumes.path(volume_id), volume["size"] * self._settings.gib
        offset = int(call.query.get("offset", "0"))
        written = files.write(path, call.chunks(), offset=offset)
        if offset + written > size:
            with path.open("r+b") as file:
                file.truncate(size)
            raise errors.bad_request(f"volume {volume_id}: has {size} bytes, but {offset} + {written} were written")
        return web.answer(body={"written": written})

    def read_volume(self, call: web.Call, volume_id: str) -> webob.Response:
        size = self._volume(volume_id)["size"] * self._settings.gib
        response = webob.Response(
            content_type="application/octet-stream", app_iter=files.read(self._volumes.path(volume_id))
        )
        response.content_length = size
        return response

    def digest_volume(self, call: web.Call, volume_id: str) -> webob.Response:
        self._volume(volume_id)
        return web.answer(body={"sha256": files.sha256(self._volumes.path(volume_id))})

    def show_extents(self, call: web.Call, kind: str, key: str) -> webob.Response:
        """Show the size of a volume or snapshot, and the ranges that are allocated, or have changed since a snapshot."""
        path, since = self._path(kind, key), call.query.get("since")
        found = extents.changed(path, self._path("snapshots", since)) if since else extents.allocated(path)
        return web.answer(body={"size": path.stat().st_size, "extents": found})

    def read_bytes(self, call: web.Call, kind: str, key: str) -> webob.Response:
        """Return *length* bytes of a volume or snapshot from *offset* on."""
        data = extents.read(self._path(kind, key), int(call.query["offset"]), int(call.query["length"]))
        return webob.Response(body=data, content_type="application/octet-stream")

    def write_share(self, call: web.Call, share_id: str) -> webob.Response:
        """Replace the content of a share, which is one text."""
        if self._shares.set(share_id, content=str(call.json())) is None:
            raise errors.not_found(f"share {share_id} does not exist")
        return web.answer(204)

    def read_share(self, call: web.Call, share_id: str) -> webob.Response:
        return web.answer(body=(self._store.get(self._shares.kind, share_id) or {}).get("content"))

    def _volume(self, volume_id: str) -> state.Document:
        volume = self._store.get("volume", volume_id)
        if volume is None or not self._volumes.path(volume_id).exists():
            raise errors.not_found(f"volume {volume_id}: has no data")
        return volume

    def _path(self, kind: str, key: str) -> Path:
        records = {"volumes": self._volumes, "snapshots": self._snapshots}.get(kind)
        if records is None or self._store.get(records.kind, key) is None or not (path := records.path(key)).exists():
            raise errors.not_found(f"{kind} {key}: has no data")
        return path
