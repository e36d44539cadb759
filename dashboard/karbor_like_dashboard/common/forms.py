"""Forms: one submission has one effect, errors of the API are shown in the form, and fields are made of JSON Schemas."""

import html
import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django import forms
from django.core.cache import cache
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import exceptions as horizon_exceptions
from horizon import forms as horizon_forms
from horizon import messages

from karbor_like_dashboard.common import listing, maps, parameters, texts
from karbor_like_dashboard.exceptions import Failure

#: Seconds for which a submission that had its effect is remembered: longer than users go back in the history of a browser.
_REMEMBERED = 24 * 3600

#: The hidden field that identifies a form as it was opened.
KEY = "request_key"


def new_key() -> str:
    """Return a key for a form that is opened."""
    return str(uuid.uuid4())


def key_field() -> forms.CharField:
    """Return the hidden field."""
    return forms.CharField(widget=forms.HiddenInput, max_length=64, initial=new_key)


def is_first(request: Any, key: str) -> bool:
    """Return whether a form is submitted for the first time, and remember it.

    Requests that start operations also carry :func:`idempotency_key`, which does not depend on the cache of Horizon.
    """
    return bool(cache.add(_name(request, key), True, _REMEMBERED))


def forget(request: Any, key: str) -> None:
    """Let a form be submitted again, because it had no effect."""
    cache.delete(_name(request, key))


def idempotency_key(key: str, asked: Mapping[str, Any]) -> str:
    """Return the key that goes to the API with a form: the same one for each submission of the same values.

    The API refuses a key that it knows from another request, even if it has refused that request too. A form with one key for
    all its submissions could not be corrected.

    :param key: identifies the form as it was opened
    :param asked: members of the request. The digest of a password among them needs the secret key of Horizon.
    """
    values = json.dumps([key, asked], sort_keys=True)
    return salted_hmac("karbor_like_dashboard.idempotency", values, algorithm="sha256").hexdigest()


def _name(request: Any, key: str) -> str:
    return f"karbor_like-{request.user.id}-{uuid.uuid5(uuid.NAMESPACE_OID, key)}"


class Form(horizon_forms.SelfHandlingForm):
    """A form whose second submission does nothing more, and whose errors are those of the API."""

    #: What the user reads then.
    success: ClassVar[Any]

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields[KEY] = key_field()

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        """Send the requests, and return an object that is true.

        :raises Failure: the API refused one
        """
        raise NotImplementedError

    def handle(self, request: Any, data: dict[str, Any]) -> Any:
        key = data[KEY]
        if not is_first(request, key):
            messages.info(request, _("This form was submitted before. Nothing more was done."))
            return True
        try:
            done = self.act(request, data)
        except Failure as error:
            forget(request, key)
            show(self, error)
            return False
        except horizon_exceptions.NotAuthenticated:
            # The user sends the form again after the login.
            forget(request, key)
            raise
        messages.success(request, self.success)
        return done or True


def show(form: Any, error: Failure) -> None:
    """Show a failure of the API in a form, at the fields that it names if the form has them."""
    named = {part: field for field in error.fields for part in [str(field.get("path") or "").rpartition(".")[2]]}
    known = {name: field for name, field in named.items() if name in form.fields}
    for name, field in known.items():
        form.add_error(name, str(field.get("message") or error))
    if not known:
        form.add_error(None, str(error))


class FormView(horizon_forms.ModalFormView):
    """A form in a dialog, or on a page of its own without JavaScript."""

    template_name = "karbor_like_dashboard/form.html"
    rule: ClassVar[str]
    #: Shown next to the fields.
    help: ClassVar[Any] = ""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not listing.allows(request, self.rule):
            raise horizon_exceptions.NotAuthorized
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context.update(submit_url=self.request.path, modal_header=self.page_title, help=self.help)
        context["modal_id"], context["form_id"] = "karbor_like_modal", "karbor_like_form"
        return context


#: Widgets for lists of this many values are selects.
_NOTHING = ("", gettext_lazy("(default)"))
_BOOLEANS = (_NOTHING, ("true", gettext_lazy("Yes")), ("false", gettext_lazy("No")))


def field_of(name: str, schema: Mapping[str, Any]) -> forms.Field | None:
    """Return the form field of a property of a JSON Schema; None for lists, and for objects other than maps of texts.

    An empty field leaves the property out: the default of the provider applies.
    """
    types = schema.get("type", "string")
    known = {types} if isinstance(types, str) else set(types)
    common: dict[str, Any] = {
        "label": parameters.title(name, schema),
        "required": False,
        # The template of Horizon regards it as HTML.
        "help_text": html.escape(str(schema.get("description") or "")),
    }
    default = schema.get("default")
    if isinstance(schema.get("enum"), list):
        values = [value for value in schema["enum"] if value is not None]
        choices = [_NOTHING, *((str(value), str(value)) for value in values)]
        field: forms.Field = forms.TypedChoiceField(
            choices=choices, coerce={str(value): value for value in values}.get, empty_value=None, **common
        )
    elif "boolean" in known:
        field = forms.TypedChoiceField(
            choices=_BOOLEANS, coerce=lambda text: text == "true", empty_value=None, **common
        )
        default = {True: "true", False: "false"}.get(default) if isinstance(default, bool) else None
    elif "integer" in known:
        field = forms.IntegerField(min_value=schema.get("minimum"), max_value=schema.get("maximum"), **common)
    elif "string" in known:
        field = forms.CharField(max_length=schema.get("maxLength"), min_length=schema.get("minLength"), **common)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            field.help_text = " ".join(filter(None, [field.help_text, _("Pattern: %s") % html.escape(pattern)]))
    elif maps.is_map(schema):
        field = maps.MapField(**common)
    else:
        return None
    if default not in (None, "", {}):
        field.initial = default
    return field


class Options:
    """The fields of the options of a provider, made of its schemas.

    :param prefix: what the names of the fields begin with
    :param schemas: JSON Schemas by type of resource
    :param without: names of properties that have other fields
    """

    def __init__(self, prefix: str, schemas: Mapping[str, Any], *, without: Collection[str] = ()) -> None:
        self.fields: dict[str, forms.Field] = {}
        #: The type of resource and the name of the property that each field stands for.
        self.properties: dict[str, tuple[str, str]] = {}
        self._defaults: dict[str, Any] = {}
        for kind, schema in sorted(schemas.items()):
            for name, description in parameters.properties(schema).items():
                field = field_of(str(name), description if isinstance(description, Mapping) else {})
                if field is None or name in without:
                    continue
                field.label = f"{texts.resource_type(kind)}: {field.label}"
                key = f"{prefix}_{len(self.fields)}"
                self.fields[key] = field
                self.properties[key] = (kind, str(name))
                self._defaults[key] = description.get("default") if isinstance(description, Mapping) else None

    def parameters(self, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the parameters of a request: what differs from the defaults, by type of resource and name."""
        found: dict[str, dict[str, Any]] = {}
        for key, (kind, name) in self.properties.items():
            value = data.get(key)
            if value not in (None, "") and value != self._defaults.get(key):
                found.setdefault(kind, {})[name] = value
        return found
