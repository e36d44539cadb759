"""The form of a restore. It is submitted twice: to find out what the restore would do, and to start it."""

from typing import Any

from django import forms
from django.core import signing
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import forms as horizon_forms

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import trees
from karbor_like_dashboard.content.restores import candidates
from karbor_like_dashboard.exceptions import Failure

#: Resources that have their own fields for a new name and for an existing resource.
MOST_NAMED = 50

#: Parameters of all types, which have a field for all of them.
_GENERAL = ("name_prefix", "strict")

_SALT = "karbor_like_dashboard.restore"


def list_id(kind: str) -> str:
    """Return the id of the element of the page with the candidates for a field.

    :param kind: the type of existing resources, or the name of a list of :mod:`candidates`
    """
    return "dp-existing-" + kind.replace("::", "-")


class Restore(horizon_forms.SelfHandlingForm):
    """What to restore, how and where.

    ``checked`` names the dry run that has shown what these values do. The restore starts only with the values of a dry run.
    """

    resources = trees.TreeField(label=gettext_lazy("Resources"))
    name_prefix = forms.CharField(
        label=gettext_lazy("Prefix of the new names"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("For example restored-. Without it, the new resources have the names of the originals."),
    )
    strict = forms.BooleanField(label=gettext_lazy("Fail rather than replace anything by a default"), required=False)
    with_plan = forms.BooleanField(label=gettext_lazy("Make a plan that protects what is restored"), required=False)
    where = forms.ChoiceField(
        label=gettext_lazy("Where"),
        choices=[("here", gettext_lazy("This cloud")), ("there", gettext_lazy("Another cloud"))],
        initial="here",
        widget=forms.Select(attrs={"class": "switchable", "data-slug": "dp_where"}),
    )
    restore_target = forms.URLField(
        label=gettext_lazy("Keystone URL of the other cloud"),
        required=False,
        max_length=255,
        assume_scheme="https",
        widget=forms.TextInput(
            attrs={
                "class": "switched",
                "data-switch-on": "dp_where",
                "data-dp_where-there": gettext_lazy("Keystone URL of the other cloud"),
            }
        ),
    )
    restore_username = forms.CharField(
        label=gettext_lazy("User of the other cloud"),
        required=False,
        max_length=255,
        widget=forms.TextInput(
            attrs={
                "class": "switched",
                "data-switch-on": "dp_where",
                "data-dp_where-there": gettext_lazy("User of the other cloud"),
            }
        ),
    )
    restore_password = forms.CharField(
        label=gettext_lazy("Password of that user"),
        required=False,
        max_length=255,
        strip=False,
        widget=forms.PasswordInput(
            attrs={
                "class": "switched",
                "data-switch-on": "dp_where",
                "data-dp_where-there": gettext_lazy("Password of that user"),
                "autocomplete": "off",
            }
        ),
    )
    checked = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.data: Any = self.data
        self.fields[common.KEY] = common.key_field()
        self.checkpoint, provider = self.initial["checkpoint"], self.initial["provider"]
        roots = trees.of_checkpoint(self.checkpoint.resource_graph)
        field: Any = self.fields["resources"]
        field.show([(_("Resources of the checkpoint"), roots)], deep=True)
        self.nodes: dict[str, trees.Node] = field.nodes
        self.initial.setdefault("resources", list(self.nodes))
        schemas = (provider.extended_info_schema or {}).get("restore_schema") or {}
        kinds = {node.type for node in self.nodes.values()}
        schemas = {kind: schema for kind, schema in schemas.items() if kind in kinds}
        known = {kind: set((schema or {}).get("properties") or {}) for kind, schema in schemas.items()}
        self._options = common.Options("option", schemas, without={*_GENERAL, "restore_name", "map_to"})
        self.fields.update(self._options.fields)
        self._offered = self._offer()
        for name in _GENERAL:
            if not any(name in names for names in known.values()):
                # No plugin of the provider has it, and the API would refuse it.
                del self.fields[name]
        self._named = list(self.nodes.values())[:MOST_NAMED]
        for number, node in enumerate(self._named):
            if "restore_name" in known.get(node.type, ()):
                self.fields[f"rename_{number}"] = forms.CharField(
                    label=_("New name of %s") % node.name, max_length=255, required=False
                )
            self.fields[f"map_{number}"] = forms.CharField(
                label=_("Use instead of %s the existing resource with the ID") % node.name,
                max_length=255,
                required=False,
                widget=forms.TextInput(attrs={"list": list_id(node.type)}),
            )

    def _offer(self) -> set[str]:
        """Let the fields of parameters offer what this cloud has, and return the names of the lists."""
        offered = set()
        for key, (kind, name) in self._options.properties.items():
            wanted = candidates.of_parameter(kind, name)
            if wanted and isinstance(self.fields[key], forms.CharField):
                self.fields[key].widget.attrs["list"] = list_id(wanted)
                offered.add(wanted)
        return offered

    def offered(self) -> set[str]:
        """Return the names of the lists of :mod:`candidates` that fields use; none for a restore to another cloud."""
        return set() if self.is_bound and self.data.get("where") == "there" else self._offered

    def mapped_types(self) -> set[str]:
        """Return the types of the resources for which existing ones can be used."""
        return {node.type for node in self._named}

    def groups(self) -> dict[str, list[Any]]:
        """Return the fields by part of the page."""
        own = {f"{kind}_{number}" for number in range(len(self._named)) for kind in ("rename", "map")}
        options = set(self._options.fields)
        place = {"where", "restore_target", "restore_username", "restore_password"}
        visible = [field for field in self.visible_fields() if field.name != "resources"]
        return {
            "how": [field for field in visible if field.name not in own | options | place],
            "options": [field for field in visible if field.name in options],
            "named": [field for field in visible if field.name in own],
            "where": [field for field in visible if field.name in place],
        }

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        if data.get("where") == "there":
            for name in ("restore_target", "restore_username", "restore_password"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, _("This field is required."))
        return data

    def request_body(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the members of the request, without a password."""
        parameters = self._options.parameters(data)
        for number, node in enumerate(self._named):
            for name, member in (("rename", "restore_name"), ("map", "map_to")):
                if data.get(f"{name}_{number}"):
                    parameters.setdefault(node.key, {})[member] = data[f"{name}_{number}"]
        general = {name: data[name] for name in _GENERAL if data.get(name)}
        if general:
            parameters["*"] = general
        body: dict[str, Any] = {
            "provider_id": self.checkpoint.provider_id,
            "checkpoint_id": self.checkpoint.id,
            "parameters": parameters,
        }
        if set(data["resources"]) != self.nodes.keys():
            body.update(resources=sorted(data["resources"]), with_children=False)
        if data.get("with_plan"):
            body["with_plan"] = True
        if data["where"] == "there":
            body["restore_target"] = data["restore_target"]
        return body

    def handle(self, request: Any, data: dict[str, Any]) -> Any:
        """Start the restore if these values were checked, and a dry run otherwise."""
        body = self.request_body(data)
        credential = {}
        user = data["restore_username"]
        if data["where"] == "there":
            credential = {"restore_auth": {"type": "password", "username": user, "password": data["restore_password"]}}
        signature = [body, user]
        checked = _loads(data["checked"])
        is_checked = checked is not None and checked["values"] == signature
        try:
            # Part of the address, because Horizon disables the button before its name would be sent.
            if is_checked and "start" in request.GET:
                return self._start(request, data, {**body, **credential})
            dry = api.client(request).create_restore(**{**body, **credential, "dry_run": True})
        except Failure as error:
            common.show(self, error)
            return False
        self.data = self.data.copy()
        self.data["checked"] = signing.dumps({"values": signature, "id": dry.id}, salt=_SALT, compress=True)
        return False

    def _start(self, request: Any, data: dict[str, Any], body: dict[str, Any]) -> Any:
        """Start the restore. A second submission gets the same restore, because the API knows the key."""
        key = common.idempotency_key(data[common.KEY], body)
        return api.client(request).create_restore(**body, idempotency_key=key)

    @property
    def dry_run_to_show(self) -> str | None:
        """The dry run that belongs to the values, also after an error."""
        known = _loads(self.data.get("checked")) if self.is_bound else None
        return known["id"] if known else None


def _loads(text: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = signing.loads(text or "", salt=_SALT, max_age=24 * 3600)
    except signing.BadSignature:
        return None
    return found
