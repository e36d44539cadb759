"""Key pairs, which belong to users."""

import base64
import hashlib

import webob
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import api, servers

KIND = "keypair"


class KeyPairs:
    """The key pairs of all users."""

    def __init__(self, records: servers.Servers, store: state.Store) -> None:
        self._servers = records
        self._store = store

    def routes(self) -> list[web.Route]:
        path = "/v2.1/os-keypairs"
        return [
            web.Route("POST", path, self.create),
            web.Route("GET", path, self.index),
            web.Route("GET", path + "/{name}", self.show),
            web.Route("DELETE", path + "/{name}", self.delete),
        ]

    def get(self, user_id: str, name: str) -> state.Document:
        """Return a key pair of a user.

        :raises ApiError: 404
        """
        found = self._store.get(KIND, f"{user_id}/{name}")
        if found is None:
            raise errors.not_found(f"Keypair {name} not found for user {user_id}")
        return found

    def create(self, call: web.Call) -> webob.Response:
        """Import a public key. Older microversions can also create a pair."""
        version = api.version(call)
        allowed = r"^[_\-@. a-zA-Z0-9]+$" if version >= (2, 92) else r"^[_\- a-zA-Z0-9]+$"
        properties = {"name": {"allOf": [api.NAME, {"pattern": allowed}]}, "public_key": {"type": "string"}}
        properties |= {"type": {"enum": ["ssh", "x509"]}} if version >= (2, 2) else {}
        properties |= {"user_id": {"type": "string"}} if version >= (2, 10) else {}
        required = ("name", "public_key") if version >= (2, 92) else ("name",)
        values = api.checked(call, "keypair", properties, *required)
        user_id = self._user(call, values.get("user_id"), "create")
        kind, public_key, private_key = values.get("type", "ssh"), values.get("public_key"), None
        if public_key is None:
            public_key, private_key = _generated(kind)
        pair = {"name": values["name"], "user_id": user_id, "type": kind, "public_key": public_key.rstrip("\n")}
        pair |= {"fingerprint": fingerprint(kind, public_key), "created_at": self._servers.now()}
        with self._store.transaction():
            if self._store.get(KIND, f"{user_id}/{pair['name']}"):
                raise errors.conflict(f"Key pair '{pair['name']}' already exists.")
            self._store.put(KIND, f"{user_id}/{pair['name']}", pair)
        shown = {**_shown(pair, version), "user_id": user_id}
        if private_key:
            shown["private_key"] = private_key
        return web.answer(201 if version >= (2, 2) else 200, {KIND: shown})

    def index(self, call: web.Call) -> webob.Response:
        user_id = self._user(call, call.query.get("user_id"), "index")
        own = [pair for pair in self._store.all(KIND) if pair["user_id"] == user_id]
        return web.answer(body={"keypairs": [{KIND: _shown(pair, api.version(call))} for pair in own]})

    def show(self, call: web.Call, name: str) -> webob.Response:
        pair = self.get(self._user(call, call.query.get("user_id"), "show"), name)
        shown = {**_shown(pair, api.version(call)), "user_id": pair["user_id"], "id": 1, "deleted": False}
        shown |= {"created_at": pair["created_at"], "updated_at": None, "deleted_at": None}
        return web.answer(body={KIND: shown})

    def delete(self, call: web.Call, name: str) -> webob.Response:
        pair = self.get(self._user(call, call.query.get("user_id"), "delete"), name)
        self._store.delete(KIND, f"{pair['user_id']}/{name}")
        return web.answer(204 if api.version(call) >= (2, 2) else 202)

    @staticmethod
    def _user(call: web.Call, user_id: str | None, action: str) -> str:
        """Return the user whose key pairs a call is about; before 2.10, that is always the caller.

        :raises ApiError: 403 for another user's
        """
        own = call.identity.user_id
        if user_id in (None, own) or api.version(call) < (2, 10):
            return own
        api.require_admin(call, f"os_compute_api:os-keypairs:{action}")
        return str(user_id)


def fingerprint(kind: str, public_key: str) -> str:
    """Return the fingerprint of a key as Nova does: MD5 for SSH, SHA-1 for certificates.

    :raises ApiError: 400, if it is not a key
    """
    try:
        if kind == "ssh":
            serialization.load_ssh_public_key(public_key.encode())
            digest = hashlib.md5(base64.b64decode(public_key.split(" ")[1]), usedforsecurity=False).hexdigest()
        else:
            digest = x509.load_pem_x509_certificate(public_key.encode()).fingerprint(hashes.SHA1()).hex()  # noqa: S303
    except (ValueError, IndexError, TypeError) as error:
        raise errors.bad_request("Keypair data is invalid: failed to generate fingerprint") from error
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _generated(kind: str) -> tuple[str, str]:
    """Return a new public and private key."""
    if kind != "ssh":
        raise errors.bad_request("The sandbox generates SSH keys only.")
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return f"{public.decode()} Generated-by-Nova", private.decode()


def _shown(pair: state.Document, version: api.Version) -> dict[str, str]:
    shown = {key: pair[key] for key in ("name", "public_key", "fingerprint")}
    return api.growing(version, shown, {(2, 2): {"type": pair["type"]}})
