"""Forms about schedules."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import schedules
from karbor_like_dashboard.exceptions import Failure


class Create(common.Form):
    """Creates the schedule of a plan."""

    success = gettext_lazy("The schedule was created.")
    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    plan_id = forms.ChoiceField(label=gettext_lazy("Plan"))

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self._plans = {plan.id: plan for plan in self.initial["plans"]}
        field: Any = self.fields["plan_id"]
        field.choices = [(plan.id, plan.name) for plan in self._plans.values()]
        self.fields.update(schedules.fields(request, required=True))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        schedules.check(self, data)
        return data

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        plan = self._plans[data["plan_id"]]
        return schedules.create(api.client(request), data["name"], plan.id, plan.provider_id, data)


def state_of(trigger: Any) -> str:
    """Return a text that differs whenever a user has changed a trigger."""
    return json.dumps([trigger.name, trigger.properties], sort_keys=True)


class EditTrigger(common.Form):
    """Changes the times of a trigger, unless another user has changed them since they were shown."""

    success = gettext_lazy("The trigger was changed.")
    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    pattern = forms.CharField(label=gettext_lazy("Pattern"), max_length=10240, widget=forms.Textarea(attrs={"rows": 3}))
    timezone = forms.CharField(label=gettext_lazy("Time zone"), max_length=64, required=False)
    state = forms.CharField(widget=forms.HiddenInput)

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        client = api.client(request)
        trigger = client.get_trigger(self.initial["trigger"].id)
        if state_of(trigger) != data["state"]:
            raise Failure(
                _("Another user has changed the trigger since you opened this form. Close it, and open it again.")
            )
        properties = {**(trigger.properties or {}), "pattern": data["pattern"]}
        properties.pop("timezone", None)
        if data["timezone"]:
            properties["timezone"] = data["timezone"]
        # The API shows all values as texts. Another type of trigger may have another window.
        if str(properties.get("window", "")).isdecimal():
            properties["window"] = int(properties["window"])
        return client.update_trigger(trigger.id, name=data["name"], properties=properties)
