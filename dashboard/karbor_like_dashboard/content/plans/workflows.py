"""The wizard that creates a plan."""

import html
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import messages, workflows

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import listing, schedules, texts, trees
from karbor_like_dashboard.exceptions import Failure


class DetailsAction(workflows.Action):
    """Name and description."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    description = forms.CharField(
        label=gettext_lazy("Description"), max_length=255, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, context, *args, **kwargs)
        self.fields[common.KEY] = common.key_field()
        self.initial.pop(common.KEY, None)

    class Meta:
        name = gettext_lazy("Details")
        slug = "details"
        help_text = gettext_lazy(
            "A plan names resources that are protected together, and the provider that protects them."
        )


class Details(workflows.Step):
    action_class = DetailsAction
    contributes = ("name", "description")


class ResourcesAction(workflows.Action):
    """The resources, with what is protected together with each of them."""

    resources = trees.TreeField(label=gettext_lazy("Resources"))

    def __init__(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, context, *args, **kwargs)
        field: Any = self.fields["resources"]
        groups: list[Any] = []
        with api.reporting(request, _("Unable to list your resources")):
            groups = trees.protectable(api.client(request))
        field.show([(texts.resource_type(kind), nodes) for kind, nodes in groups if nodes])
        preset = context.get("resource")
        if preset:
            self.initial["resources"] = [preset]

    class Meta:
        name = gettext_lazy("Resources")
        slug = "resources"
        help_text = gettext_lazy(
            "What depends on a resource is protected together with it, for example the volumes of a server."
        )


class Resources(workflows.Step):
    action_class = ResourcesAction
    contributes = ("resources",)


class ProviderAction(workflows.Action):
    """The provider, and its options as fields."""

    provider_id = forms.ChoiceField(
        label=gettext_lazy("Provider"),
        widget=forms.Select(attrs={"class": "switchable", "data-slug": "dp_provider"}),
    )

    def __init__(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, context, *args, **kwargs)
        providers: list[Any] = []
        with api.reporting(request, _("Unable to list the providers")):
            providers = api.providers(request)
        choice: Any = self.fields["provider_id"]
        choice.choices = [(each.id, each.name) for each in providers]
        self._options = {}
        for number, provider in enumerate(providers):
            schemas = (provider.extended_info_schema or {}).get("options_schema") or {}
            options = common.Options(f"option_{number}", schemas)
            for name, field in options.fields.items():
                switch = {"class": "switched", "data-switch-on": "dp_provider"}
                # The script of Horizon takes it as HTML.
                field.widget.attrs.update({**switch, f"data-dp_provider-{provider.id}": html.escape(field.label)})
                self.fields[name] = field
            self._options[provider.id] = options

    def parameters(self) -> dict[str, dict[str, Any]]:
        """Return what the user entered for the chosen provider."""
        return self._options[self.cleaned_data["provider_id"]].parameters(self.cleaned_data)

    def clean(self) -> dict[str, Any]:
        """Ignore errors in the fields of providers that are not chosen, which are hidden."""
        data: dict[str, Any] = super().clean()
        chosen = self._options.get(data.get("provider_id", ""))
        for options in self._options.values():
            if options is not chosen:
                for name in options.fields:
                    self._errors.pop(name, None)
        return data

    class Meta:
        name = gettext_lazy("Provider")
        slug = "provider"
        help_text = gettext_lazy("An empty field means the default of the provider.")


class Provider(workflows.Step):
    action_class = ProviderAction
    contributes = ("provider_id",)


class ScheduleAction(workflows.Action):
    """When the plan runs, and which checkpoints are kept."""

    def __init__(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, context, *args, **kwargs)
        if not listing.allows(request, "scheduled_operation:create"):
            return
        with api.reporting(request, _("Unable to list the triggers")):
            self.fields.update(schedules.fields(request, required=False))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        schedules.check(self, data)
        return data

    class Meta:
        name = gettext_lazy("Schedule")
        slug = "schedule"
        help_text = gettext_lazy(
            "Without numbers, everything is kept. The last available checkpoint is never deleted. The documentation explains "
            "each rule."
        )


class Schedule(workflows.Step):
    action_class = ScheduleAction


class ReviewAction(workflows.Action):
    """What was entered, and whether to protect at once."""

    now = forms.BooleanField(label=gettext_lazy("Protect now"), required=False)

    def __init__(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, context, *args, **kwargs)
        if not listing.allows(request, "provider:checkpoint_create"):
            del self.fields["now"]

    class Meta:
        name = gettext_lazy("Review")
        slug = "review"
        help_text_template = "karbor_like_dashboard/review.html"


class Review(workflows.Step):
    action_class = ReviewAction
    contributes = ("now",)


class CreatePlan(workflows.Workflow):
    """Creates a plan, its schedule and its first checkpoint."""

    slug = "create_plan"
    name = gettext_lazy("Create Plan")
    finalize_button_name = gettext_lazy("Create Plan")
    success_message = gettext_lazy('Created the plan "%s".')
    failure_message = gettext_lazy('Unable to create the plan "%s".')
    success_url = "horizon:data_protection:plans:index"
    default_steps = (Details, Resources, Provider, Schedule, Review)
    wizard = True

    def format_status_message(self, message: Any) -> Any:
        return message % self.context.get("name", "")

    def handle(self, request: Any, context: dict[str, Any]) -> bool:
        key = self.get_step("details").action.cleaned_data[common.KEY]
        if not common.is_first(request, key):
            messages.info(request, _("This form was submitted before. Nothing more was done."))
            return True
        nodes = self.get_step("resources").action.fields["resources"].nodes
        chosen = [nodes[name] for name in context["resources"]]
        client = api.client(request)
        try:
            plan = client.create_plan(
                name=context["name"],
                description=context["description"] or None,
                provider_id=context["provider_id"],
                resources=[{"type": node.type, "id": node.id, "name": node.name} for node in chosen],
                parameters=self.get_step("provider").action.parameters(),
            )
        except Failure as error:
            common.forget(request, key)
            self.add_error_to_step(str(error), "details")
            raise forms.ValidationError(str(error)) from error
        schedule = self.get_step("schedule").action.cleaned_data
        # The plan exists from here on: what fails now is a message, and can be repeated on the plan.
        if schedule.get("when"):
            with api.reporting(request, _("The plan was created, but not its schedule")):
                schedules.create(client, plan.name, plan.id, plan.provider_id, schedule)
        if context.get("now"):
            with api.reporting(request, _("The plan was created, but is not being protected")):
                client.create_checkpoint(plan.provider_id, plan_id=plan.id, idempotency_key=key)
        return True
