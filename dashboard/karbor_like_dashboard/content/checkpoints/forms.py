"""Forms about a checkpoint."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common


class Verify(common.Form):
    """Starts a verification, with the options of the provider."""

    success = _("The checkpoint is being verified.")

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        schemas = (self.initial["provider"].extended_info_schema or {}).get("verify_schema") or {}
        self._options = common.Options("option", schemas)
        self.fields.update(self._options.fields)

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        asked = {
            "provider_id": self.initial["provider"].id,
            "checkpoint_id": self.initial["checkpoint"].id,
            "parameters": self._options.parameters(data),
        }
        return api.client(request).create_verification(
            idempotency_key=common.idempotency_key(data[common.KEY], asked), **asked
        )


class Copy(common.Form):
    """Copies a checkpoint to another provider."""

    success = _("The checkpoint is being copied.")
    target = forms.ChoiceField(label=_("Copy to the provider"))

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        others = [each for each in api.providers(request) if each.id != self.initial["provider"].id]
        field: Any = self.fields["target"]
        field.choices = [(each.id, each.name) for each in others]

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        checkpoint = self.initial["checkpoint"]
        asked = {
            "plan_id": checkpoint.protection_plan["id"],
            "checkpoint_ids": [checkpoint.id],
            "target_provider_id": data["target"],
        }
        return api.client(request).create_copy(
            self.initial["provider"].id, idempotency_key=common.idempotency_key(data[common.KEY], asked), **asked
        )
