"""Forms about plans that exist."""

import hashlib
import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import texts, trees
from karbor_like_dashboard.exceptions import Failure


class Protect(common.Form):
    """Starts a checkpoint."""

    success = gettext_lazy("The plan is being protected.")
    skip_missing = forms.BooleanField(
        label=gettext_lazy("Leave out resources that do not exist"),
        required=False,
        help_text=gettext_lazy("Without it, the checkpoint fails if a resource of the plan was deleted."),
    )

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        plan = self.initial["plan"]
        more = {"extra_info": {"skip_missing": True}} if data["skip_missing"] else {}
        asked = {"plan_id": plan.id, **more}
        return api.client(request).create_checkpoint(
            plan.provider_id, idempotency_key=common.idempotency_key(data[common.KEY], asked), **asked
        )


def state_of(plan: Any) -> str:
    """Return a text that differs whenever a user has changed a plan."""
    members = [plan.name, plan.description, plan.status, plan.resources]
    return hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()


class Edit(common.Form):
    """Changes name, description and resources of a plan, unless another user has changed it since it was shown."""

    success = gettext_lazy("The plan was changed.")
    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    description = forms.CharField(
        label=gettext_lazy("Description"), max_length=255, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    resources = trees.TreeField(label=gettext_lazy("Resources"))
    state = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        plan = self.initial["plan"]
        field: Any = self.fields["resources"]
        groups = trees.protectable(api.client(request))
        existing = {node.key for _kind, nodes in groups for node in nodes}
        gone = [node for node in trees.of_plan(plan.resources or ()) if node.key not in existing]
        shown = [(texts.resource_type(kind), nodes) for kind, nodes in groups if nodes]
        if gone:
            shown.append((_("No longer there"), gone))
        field.show(shown)

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        client = api.client(request)
        plan = client.get_plan(self.initial["plan"].id)
        if state_of(plan) != data["state"]:
            raise Failure(
                _("Another user has changed the plan since you opened this form. Close it, and edit the plan again.")
            )
        before = {(each["type"], each["id"]): each for each in plan.resources or ()}
        nodes = getattr(self.fields["resources"], "nodes", {})
        chosen = [nodes[key] for key in data["resources"]]
        resources = [
            before.get((node.type, node.id), {"type": node.type, "id": node.id, "name": node.name}) for node in chosen
        ]
        changes: dict[str, Any] = {
            name: value
            for name, value in (("name", data["name"]), ("description", data["description"] or None))
            if value != (getattr(plan, name) or None)
        }
        if {(each["type"], each["id"]) for each in resources} != before.keys():
            changes["resources"] = resources
        return client.update_plan(plan.id, **changes) if changes else plan
