"""The identity of a request's caller, carried over RPC and into flows."""

import json
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

from oslo_context import context as oslo_context


class RequestContext(oslo_context.RequestContext):
    """A caller's identity.

    The token and the trust id are secrets: :meth:`to_dict` leaves them out. ``rpc/serializer.py`` and the operations table
    carry them encrypted.

    :param service_catalog: as in Keystone's token, or its JSON text, which is parsed when it is needed
    :param trust_id: the Keystone trust that the token was issued for, as for every scheduled operation
    :param trustee_id: the user that the trust was given to
    :param is_delegated: whether the token is of a trust or of a restricted application credential. It is known only to the
        process that received the token
    """

    def __init__(
        self,
        *,
        service_catalog: list[dict[str, Any]] | str | None = None,
        trust_id: str | None = None,
        trustee_id: str | None = None,
        is_delegated: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._catalog: list[dict[str, Any]] | str = service_catalog or []
        self.trust_id = trust_id
        self.trustee_id = trustee_id
        #: When the caller of an RPC call stops waiting. Part of the message only.
        self.deadline: datetime | None = None
        self.is_delegated = is_delegated

    @property
    def service_catalog(self) -> list[dict[str, Any]]:
        """The catalogue of services, as in Keystone's token. Empty if the token has none."""
        if isinstance(self._catalog, str):
            self._catalog = _parsed(self._catalog)
        return self._catalog

    @service_catalog.setter
    def service_catalog(self, services: list[dict[str, Any]]) -> None:
        self._catalog = services

    @property
    def scope(self) -> str | None:
        """Project whose objects the caller may reach by id. None for administrators, who may reach those of every project.

        Queries take it as ``project_id``, so that an object of another project does not exist for the caller.
        """
        return None if self.is_admin else str(self.project_id)

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the secrets, as JSON values."""
        values = dict(super().to_dict())
        for secret in ("auth_token", "service_token"):
            values.pop(secret, None)
        values["service_catalog"] = self.service_catalog
        values["trustee_id"] = self.trustee_id
        return values

    def get_logging_values(self) -> dict[str, Any]:
        """Return what each line of the log may say of the caller: not the catalogue, which is long."""
        values = dict(super().get_logging_values())
        values.pop("service_catalog", None)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], **kwargs: Any) -> "RequestContext":
        """Build a context from :meth:`to_dict` and the secrets in *kwargs*: ``auth_token``, ``trust_id``."""
        for name in ("service_catalog", "trustee_id"):
            kwargs.setdefault(name, values.get(name))
        return super().from_dict(values, **kwargs)

    def to_policy_values(self) -> MutableMapping[str, Any]:
        # Not added to the values, which are for deprecated keys too: each use of such a key is a warning.
        return {**super().to_policy_values(), "is_admin": self.is_admin}


def _parsed(text: str) -> list[dict[str, Any]]:
    try:
        services: list[dict[str, Any]] = json.loads(text)
    except ValueError:
        return []
    return services
