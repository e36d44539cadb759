"""What Keystone knows of the token that clients use."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients

#: The role of administrators.
_ADMIN: Final = "admin"


def token(clients: Clients) -> Mapping[str, Any] | None:
    """Return what Keystone knows of an identity's token, or None if it has expired.

    Raises Unavailable if Keystone does not answer.
    """
    try:
        with translated("validating the token of the request"):
            headers = {"X-Subject-Token": str(clients.session.get_token())}
            found: Mapping[str, Any] = (
                clients.keystone().get("/auth/tokens?nocatalog=1", headers=headers).json()["token"]
            )
    except (exception.NotAuthorized, exception.NotFound):
        return None
    return found


def is_administrator(clients: Clients) -> bool:
    """Return whether an identity has the role of administrators in its project. Raises what :func:`token` raises."""
    roles = (token(clients) or {}).get("roles") or ()
    return any(role.get("name") == _ADMIN for role in roles)
