"""Authentication: interpretation of the ``auth`` object of a login."""

from typing import Any

from karbor_like.sandbox import errors, state
from karbor_like.sandbox.identity import accounts as accounts_module
from karbor_like.sandbox.identity import credentials, tokens, trusts


class Authentication:
    """Passwords, tokens and application credentials; project and trust scopes."""

    def __init__(
        self,
        accounts: accounts_module.Accounts,
        token_store: tokens.Tokens,
        trust_store: trusts.Trusts,
        credential_store: credentials.ApplicationCredentials,
    ) -> None:
        self._accounts = accounts
        self._tokens = token_store
        self._trusts = trust_store
        self._credentials = credential_store

    def grant(self, auth: dict[str, Any]) -> tokens.Grant:
        """Return what a token will be issued for.

        :raises ApiError: 400 for an invalid body, 401 for an unknown or unauthorized user, 403 from trusts
        """
        identity = auth.get("identity")
        if not isinstance(identity, dict) or not isinstance(identity.get("methods"), list):
            raise errors.bad_request("'identity' with 'methods' is a required property of 'auth'")
        methods, expires = identity["methods"], None
        if credentials.KIND in methods:
            return self._credentials.grant(_inner(identity, credentials.KIND), methods)
        if "password" in methods:
            user = self._by_password(_inner(identity, "password"))
        elif "token" in methods:
            user, former = self._by_token(_inner(identity, "token"))
            expires = former["expires_at"]
        else:
            raise tokens.unauthorized()
        scope = auth.get("scope")
        if isinstance(scope, dict) and "OS-TRUST:trust" in scope:
            return self._trusts.grant(user["id"], scope["OS-TRUST:trust"].get("id", ""), methods)
        project_id = self._project(user, scope)
        roles = self._accounts.roles(user["id"], project_id) if project_id else []
        if project_id and not roles:
            raise tokens.unauthorized()
        return tokens.Grant(user["id"], project_id, roles, methods, expires_at=expires)

    def _by_password(self, method: dict[str, Any]) -> state.Document:
        wanted = _inner(method, "user")
        users = self._accounts.all("user")
        user = next((u for u in users if wanted.get("id") == u["id"] or wanted.get("name") == u["name"]), None)
        if user is None or not user["enabled"] or user.get("password") != wanted.get("password"):
            raise tokens.unauthorized()
        return user

    def _by_token(self, method: dict[str, Any]) -> tuple[state.Document, state.Document]:
        try:
            former = self._tokens.validate(method.get("id", ""))
        except errors.ApiError:
            raise tokens.unauthorized() from None
        if former["trust_id"] or former["credential_id"]:
            raise errors.forbidden("Using a delegated token to create another token is not allowed.")
        return self._accounts.get("user", former["user_id"]), former

    def _project(self, user: state.Document, scope: Any) -> str | None:
        if scope is None:
            default = user.get("default_project_id")
            return default if default and self._accounts.roles(user["id"], default) else None
        if scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
            return None
        wanted = _inner(scope if isinstance(scope, dict) else {}, "project")
        projects = self._accounts.all("project")
        project = next((p for p in projects if wanted.get("id") == p["id"] or wanted.get("name") == p["name"]), None)
        if project is None or not project["enabled"]:
            raise tokens.unauthorized()
        return project["id"]


def _inner(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise errors.bad_request(f"'{name}' is a required property")
    return value
