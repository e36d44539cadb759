"""Trusts: a user delegates some roles in a project to another user."""

from datetime import datetime
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.identity import accounts as accounts_module
from karbor_like.sandbox.identity import tokens

_MAX_REDELEGATION = 3


class Trusts:
    """Creates, shows and deletes trusts, and determines the grants of tokens from trusts."""

    def __init__(self, store: state.Store, clock: clocks.Clock, accounts: accounts_module.Accounts) -> None:
        self._store = store
        self._clock = clock
        self._accounts = accounts

    def create(self, caller: web.Identity, values: dict[str, Any]) -> state.Document:
        """Create a trust.

        :raises ApiError: 400 for an incomplete body, 403 if the caller may not delegate the roles
        """
        for name in ("trustor_user_id", "trustee_user_id", "impersonation"):
            if name not in values:
                raise errors.bad_request(f"'{name}' is a required property")
        if caller.is_restricted:
            raise errors.forbidden("Using method 'application_credential' is not allowed for managing trusts.")
        if values["trustor_user_id"] != caller.user_id:
            raise errors.forbidden("You are not authorized to perform the requested action: identity:create_trust.")
        self._accounts.get("user", values["trustee_user_id"])
        project_id = values.get("project_id")
        roles = [self._role(role) for role in values.get("roles") or []]
        if project_id:
            held = {role["id"] for role in self._accounts.roles(caller.user_id, project_id)}
            if not roles:
                raise errors.forbidden("At least one role should be specified.")
            if missing := [role["name"] for role in roles if role["id"] not in held]:
                raise errors.forbidden(f"The trustor does not have the roles {', '.join(missing)} in that project.")
        origin = self._store.get("trust", caller.trust_id) if caller.trust_id else None
        depth = _MAX_REDELEGATION if origin is None else self._check_redelegation(origin, values, roles)
        redelegable = bool(values.get("allow_redelegation")) and values.get("redelegation_count") != 0
        trust = {
            "id": web.new_id().replace("-", ""),
            "trustor_user_id": caller.user_id,
            "trustee_user_id": values["trustee_user_id"],
            "project_id": project_id,
            "impersonation": bool(values["impersonation"]),
            "roles": roles,
            "expires_at": values.get("expires_at") or (origin["expires_at"] if origin else None),
            "remaining_uses": values.get("remaining_uses"),
            "redelegation_count": depth if redelegable else 0,
            "redelegated_trust_id": origin["id"] if origin else None,
            "deleted_at": None,
        }
        self._store.put("trust", trust["id"], trust)
        return trust

    @staticmethod
    def _check_redelegation(origin: state.Document, values: dict[str, Any], roles: list[dict[str, str]]) -> int:
        """Check a trust that is created with a token from the trust *origin*, and return how often it can be redelegated.

        :raises ApiError: 403; 500, as in Keystone, if a trust without an end would be redelegated with one
        """
        if origin["redelegation_count"] < 1:
            raise errors.forbidden("Remaining redelegation depth of 0 out of allowed range of [0..3]")
        if values.get("expires_at"):
            if origin["expires_at"] is None:
                raise errors.ApiError(500, "An unexpected error prevented the server from fulfilling your request.")
            if origin["expires_at"] < values["expires_at"]:
                raise errors.forbidden("Requested expiration time is more than redelegated trust can provide")
        if not {role["id"] for role in roles} <= {role["id"] for role in origin["roles"]}:
            raise errors.forbidden("Some of requested roles are not in redelegated trust")
        return int(origin["redelegation_count"]) - 1

    def _role(self, wanted: dict[str, str]) -> dict[str, str]:
        role = (
            self._accounts.get("role", wanted["id"])
            if "id" in wanted
            else self._accounts.by_name("role", wanted.get("name", ""))
        )
        return {"id": role["id"], "name": role["name"]}

    def get(self, caller: web.Identity, trust_id: str) -> state.Document:
        """Show a trust.

        :raises ApiError: 404, or 403 unless the caller is trustor, trustee or administrator
        """
        trust = self._store.get("trust", trust_id)
        if trust is None:
            raise errors.not_found(f"Could not find trust: {trust_id}.")
        if not caller.is_admin and caller.user_id not in (trust["trustor_user_id"], trust["trustee_user_id"]):
            raise errors.forbidden("You are not authorized to perform the requested action: identity:get_trust.")
        return trust

    def all(self, trustor: str | None, trustee: str | None) -> list[state.Document]:
        return [
            trust
            for trust in self._store.all("trust")
            if trustor in (None, trust["trustor_user_id"]) and trustee in (None, trust["trustee_user_id"])
        ]

    def delete(self, caller: web.Identity, trust_id: str) -> None:
        """Delete a trust.

        :raises ApiError: 404, or 403 unless the caller is trustor or administrator
        """
        trust = self.get(caller, trust_id)
        if caller.is_restricted:
            raise errors.forbidden("Using method 'application_credential' is not allowed for managing trusts.")
        if not caller.is_admin and caller.user_id != trust["trustor_user_id"]:
            raise errors.forbidden("Only the trustor may delete a trust.")
        self._delete(trust_id)

    def _delete(self, trust_id: str) -> None:
        """Delete a trust, and those that were created with its tokens."""
        for trust in self._store.all("trust"):
            if trust["redelegated_trust_id"] == trust_id:
                self._delete(trust["id"])
        self._store.delete("trust", trust_id)

    def grant(self, trustee_id: str, trust_id: str, methods: list[str]) -> tokens.Grant:
        """Return the grant of a token for *trustee_id* from the trust.

        :raises ApiError: 401 if the trust does not exist, has expired, or its project is disabled; 403 if the trustee is
            another user, or the trustor no longer has the roles
        """
        trust = self._store.get("trust", trust_id)
        if trust is None or self._over(trust):
            raise tokens.unauthorized()
        project = self._accounts.get("project", trust["project_id"])
        if not project["enabled"]:
            raise tokens.unauthorized()
        trustor = self._accounts.get("user", trust["trustor_user_id"])
        if trust["trustee_user_id"] != trustee_id or not trustor["enabled"]:
            raise errors.forbidden("You are not authorized to use this trust.")
        held = {role["id"] for role in self._accounts.roles(trustor["id"], trust["project_id"])}
        if not {role["id"] for role in trust["roles"]} <= held:
            raise errors.forbidden("The trustor no longer has the roles of the trust.")
        user_id = trustor["id"] if trust["impersonation"] else trustee_id
        return tokens.Grant(user_id, trust["project_id"], trust["roles"], methods, trust_id, trust["expires_at"])

    def _over(self, trust: state.Document) -> bool:
        if not trust["expires_at"]:
            return False
        return datetime.fromisoformat(trust["expires_at"]) <= self._clock.now()
