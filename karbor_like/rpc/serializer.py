"""Serializer of RPC messages: plain JSON, and the caller's identity with encrypted secrets."""

import json
from datetime import datetime
from typing import Any

import oslo_messaging

from karbor_like.context import RequestContext
from karbor_like.secret import Cipher

_SECRETS = "secrets"
_DEADLINE = "deadline"


class Serializer(oslo_messaging.Serializer):
    """Serializes contexts to dictionaries, and copies everything else through JSON.

    In-process transports pass objects by reference. The copy makes both sides see what they would see through a broker, and
    refuses a value that is not JSON.
    """

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return json.loads(json.dumps(entity))

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return entity

    def serialize_context(self, ctxt: RequestContext) -> dict[str, Any]:
        secrets = {"auth_token": ctxt.auth_token, "trust_id": ctxt.trust_id}
        end = ctxt.deadline.isoformat() if ctxt.deadline else None
        return {**ctxt.to_dict(), _SECRETS: self._cipher.encrypt(secrets), _DEADLINE: end}

    def deserialize_context(self, ctxt: dict[str, Any]) -> RequestContext:
        values = dict(ctxt)
        context = RequestContext.from_dict(values, **self._cipher.decrypt(values.pop(_SECRETS)))
        if end := values.get(_DEADLINE):
            context.deadline = datetime.fromisoformat(end)
        return context
