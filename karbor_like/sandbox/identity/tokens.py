"""Tokens: issue, expiry, revocation, and validation of the underlying grants at every use."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.identity import accounts as accounts_module

ALLOW_EXPIRED_WINDOW = timedelta(hours=48)
FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def unauthorized() -> errors.ApiError:
    return errors.ApiError(401, "The request you have made requires authentication.")


@dataclass(frozen=True)
class Grant:
    """What a token is issued for."""

    user_id: str
    project_id: str | None
    roles: Sequence[dict[str, str]]
    methods: Sequence[str]
    trust_id: str | None = None
    expires_at: str | None = None
    credential_id: str | None = None


class Tokens:
    """The tokens, stored under their digest, so that the state directory contains none in plain text."""

    def __init__(
        self,
        store: state.Store,
        settings: state.Settings,
        clock: clocks.Clock,
        accounts: accounts_module.Accounts,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._accounts = accounts

    def issue(self, grant: Grant) -> tuple[str, state.Document]:
        """Issue a token, and return its id and document. A token from another token expires no later than that one."""
        now = self._clock.now()
        expires = (now + timedelta(seconds=self._settings.token_lifetime)).strftime(FORMAT)
        token_id = f"gAAAAA{secrets.token_urlsafe(64)}"
        document = {
            "user_id": grant.user_id,
            "project_id": grant.project_id,
            "roles": list(grant.roles),
            "methods": list(grant.methods),
            "trust_id": grant.trust_id,
            "credential_id": grant.credential_id,
            "issued_at": now.strftime(FORMAT),
            "expires_at": min(expires, grant.expires_at or expires),
            "audit_ids": [secrets.token_urlsafe(16)],
        }
        self._store.put("token", _key(token_id), document)
        return token_id, document

    def validate(self, token_id: str, *, allow_expired: bool = False) -> state.Document:
        """Return the document of a valid token.

        :param allow_expired: accept a token that expired less than 48 hours ago, as Keystone does for services; it does not
            for a token from a trust
        :raises ApiError: 404, as in Keystone, if the token is not valid
        """
        token = self._store.get("token", _key(token_id))
        if token is None or not self._holds(token):
            raise errors.not_found("Could not find token: it is unknown or revoked, or its grant no longer exists.")
        expires = datetime.strptime(token["expires_at"], FORMAT)
        now = self._clock.now().replace(tzinfo=None)
        if now >= expires and not (allow_expired and not token["trust_id"] and now < expires + ALLOW_EXPIRED_WINDOW):
            raise errors.not_found("Could not find token: it has expired.")
        return token

    def _holds(self, token: state.Document) -> bool:
        user = self._store.get("user", token["user_id"])
        if user is None or not user["enabled"]:
            return False
        if token["trust_id"] and self._store.get("trust", token["trust_id"]) is None:
            return False
        if token["credential_id"] and self._credential(token) is None:
            return False
        if token["project_id"] is None:
            return True
        project = self._store.get("project", token["project_id"])
        held = {role["id"] for role in self._accounts.roles(token["user_id"], token["project_id"])}
        granted = {role["id"] for role in token["roles"]}
        return project is not None and project["enabled"] and granted <= held

    def revoke(self, token_id: str) -> None:
        self._store.delete("token", _key(token_id))

    def expire(self, token_id: str) -> None:
        """Expire a token now.

        :raises ApiError: 404, if there is no such token
        """
        past = (self._clock.now() - timedelta(seconds=1)).strftime(FORMAT)
        if self._store.change("token", _key(token_id), expires_at=past) is None:
            raise errors.not_found("Could not find token.")

    def expire_of_user(self, user_id: str) -> int:
        """Expire all tokens of a user now, including those from trusts, and return their number."""
        past = (self._clock.now() - timedelta(seconds=1)).strftime(FORMAT)
        rows = self._store.execute(
            "UPDATE documents SET body = json_set(body, '$.expires_at', ?) "
            "WHERE kind = 'token' AND json_extract(body, '$.user_id') = ? RETURNING id",
            (past, user_id),
        )
        return len(rows)

    def identify(self, token_id: str, service_token: str | None) -> web.Identity | None:
        """Identify the caller of a service. An expired token is accepted together with the token of a service user."""
        try:
            by_service = service_token is not None and "service" in self._role_names(self.validate(service_token))
            token = self.validate(token_id, allow_expired=by_service)
        except errors.ApiError:
            return None
        user = self._accounts.get("user", token["user_id"])
        credential = self._credential(token)
        return web.Identity(
            user["id"],
            user["name"],
            token["project_id"],
            self._role_names(token),
            token_id,
            token["trust_id"],
            is_restricted=credential is not None and not credential["unrestricted"],
        )

    def _credential(self, token: state.Document) -> state.Document | None:
        key = token["credential_id"]
        return self._store.get("application_credential", key) if key else None

    @staticmethod
    def _role_names(token: state.Document) -> frozenset[str]:
        return frozenset(role["name"] for role in token["roles"])

    def body(self, token: state.Document, catalogue: list[dict[str, Any]] | None) -> dict[str, Any]:
        """Return a token in the form of the API."""
        user = self._accounts.get("user", token["user_id"])
        body: dict[str, Any] = {
            "methods": token["methods"],
            "user": {
                "id": user["id"],
                "name": user["name"],
                "domain": accounts_module.DOMAIN,
                "password_expires_at": None,
            },
            "issued_at": token["issued_at"],
            "expires_at": token["expires_at"],
            "audit_ids": token["audit_ids"],
        }
        if token["project_id"]:
            project = self._accounts.get("project", token["project_id"])
            body["project"] = {"id": project["id"], "name": project["name"], "domain": accounts_module.DOMAIN}
            body["is_domain"] = False
            body["roles"] = token["roles"]
            if catalogue is not None:
                body["catalog"] = catalogue
        if token["trust_id"] and (trust := self._store.get("trust", token["trust_id"])):
            body["OS-TRUST:trust"] = {
                "id": trust["id"],
                "impersonation": trust["impersonation"],
                "trustor_user": {"id": trust["trustor_user_id"]},
                "trustee_user": {"id": trust["trustee_user_id"]},
            }
        if credential := self._credential(token):
            body["application_credential"] = {
                "id": credential["id"],
                "name": credential["name"],
                "restricted": not credential["unrestricted"],
            }
        return body


def _key(token_id: str) -> str:
    return hashlib.sha256(token_id.encode()).hexdigest()
