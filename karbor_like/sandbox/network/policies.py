"""QoS policies, without their rules: what ports may refer to."""

from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import refusal
from karbor_like.sandbox.network.records import BOOLEAN, Attribute, Records


class QosPolicies(Records):
    """QoS policies. Administrators create them. Shared ones are visible to all projects."""

    kind = "policy"
    title = "QoS policy"
    path = "qos/policies"
    attributes = {"shared": Attribute(BOOLEAN, False, admin=True)}

    def is_visible(self, caller: web.Identity, document: state.Document) -> bool:
        return caller.may_see(document["project_id"]) or bool(document["shared"])

    def create(self, caller: web.Identity, values: Mapping[str, Any]) -> state.Document:
        if not caller.is_admin:
            raise refusal.forbidden("create_policy")
        return super().create(caller, values)
