"""Application credentials: a user's roles in a project, or some of them, with a secret of their own.

https://docs.openstack.org/api-ref/identity/v3/#application-credentials
"""

import secrets
from typing import Any

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.identity import accounts as accounts_module
from karbor_like.sandbox.identity import tokens

KIND = "application_credential"


class ApplicationCredentials:
    """Creates, shows and deletes application credentials, and determines the grants of their tokens."""

    def __init__(self, store: state.Store, accounts: accounts_module.Accounts) -> None:
        self._store = store
        self._accounts = accounts

    def create(self, caller: web.Identity, user_id: str, values: dict[str, Any]) -> state.Document:
        """Create a credential for the caller's project, and return it with its secret.

        :raises ApiError: 400 without a name, 403 for another user or a delegated token
        """
        self._check(caller, user_id)
        if caller.is_delegated:
            raise errors.forbidden(f"Using method '{KIND}' is not allowed for managing additional credentials.")
        if not values.get("name"):
            raise errors.bad_request("'name' is a required property")
        held = self._accounts.roles(user_id, str(caller.project_id))
        wanted = [role.get("id") or role.get("name") for role in values.get("roles") or []]
        credential = {
            "id": web.new_id().replace("-", ""),
            "name": values["name"],
            "user_id": user_id,
            "project_id": caller.project_id,
            "roles": [role for role in held if not wanted or {role["id"], role["name"]} & set(wanted)],
            "unrestricted": bool(values.get("unrestricted")),
            "secret": values.get("secret") or secrets.token_urlsafe(32),
        }
        self._store.put(KIND, credential["id"], credential)
        return credential

    def get(self, caller: web.Identity, user_id: str, key: str) -> state.Document:
        """Show a credential, without its secret.

        :raises ApiError: 404, or 403 for another user
        """
        self._check(caller, user_id)
        credential = self._store.get(KIND, key)
        if credential is None or credential["user_id"] != user_id:
            raise errors.not_found(f"Could not find Application Credential: {key}.")
        return shown(credential)

    def all(self, caller: web.Identity, user_id: str) -> list[state.Document]:
        self._check(caller, user_id)
        return [shown(credential) for credential in self._store.all(KIND) if credential["user_id"] == user_id]

    def delete(self, caller: web.Identity, user_id: str, key: str) -> None:
        """Delete a credential; its tokens end.

        :raises ApiError: 404, or 403 for another user or a restricted credential
        """
        self.get(caller, user_id, key)
        if caller.is_delegated:
            raise errors.forbidden(f"Using method '{KIND}' is not allowed for managing additional credentials.")
        self._store.delete(KIND, key)

    def grant(self, method: dict[str, Any], methods: list[str]) -> tokens.Grant:
        """Return the grant of a token for the credential that the body of a login names by its id.

        :raises ApiError: 401
        """
        credential = self._store.get(KIND, method.get("id", ""))
        if credential is None or credential["secret"] != method.get("secret"):
            raise tokens.unauthorized()
        user = self._accounts.get("user", credential["user_id"])
        if not user["enabled"]:
            raise tokens.unauthorized()
        return tokens.Grant(
            user["id"], credential["project_id"], credential["roles"], methods, credential_id=credential["id"]
        )

    @staticmethod
    def _check(caller: web.Identity, user_id: str) -> None:
        if caller.user_id != user_id:
            raise errors.forbidden("You are not authorized to perform the requested action.")


def shown(credential: state.Document) -> state.Document:
    return {name: value for name, value in credential.items() if name != "secret"}
