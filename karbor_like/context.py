"""Who asks: the identity that travels with a request, over RPC and into flows."""

from collections.abc import MutableMapping
from typing import Any

from oslo_context import context as oslo_context


class RequestContext(oslo_context.RequestContext):
    """A caller's identity.

    On top of oslo.context: ``service_catalog`` (list, as Keystone's token holds it); ``trust_id``, where the token was taken
    from a Keystone trust (those of scheduled operations are), and ``trustee_id``, the user whom that trust was given. The
    token and the trust id are secrets: :meth:`to_dict` leaves them out; ``rpc/serializer.py`` and the operations table carry
    them encrypted.
    """

    def __init__(
        self,
        *,
        service_catalog: list[dict[str, Any]] | None = None,
        trust_id: str | None = None,
        trustee_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service_catalog = service_catalog or []
        self.trust_id = trust_id
        self.trustee_id = trustee_id

    def to_dict(self) -> dict[str, Any]:
        """Everything but the secrets, as JSON-able values."""
        values = dict(super().to_dict())
        for secret in ("auth_token", "service_token"):
            values.pop(secret, None)
        values["service_catalog"] = self.service_catalog
        values["trustee_id"] = self.trustee_id
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], **kwargs: Any) -> "RequestContext":
        """The inverse of :meth:`to_dict`; *kwargs* (``auth_token``, ``trust_id``) are added."""
        for name in ("service_catalog", "trustee_id"):
            kwargs.setdefault(name, values.get(name))
        return super().from_dict(values, **kwargs)

    def to_policy_values(self) -> MutableMapping[str, Any]:
        values = super().to_policy_values()
        values["is_admin"] = self.is_admin
        return values
