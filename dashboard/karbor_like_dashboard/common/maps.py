"""Maps of texts in forms: one pair on each line."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _


def is_map(schema: Mapping[str, Any]) -> bool:
    """Return whether a JSON Schema describes an object with any names and texts as values, such as ``network_map``."""
    values = schema.get("additionalProperties")
    is_object = schema.get("type") == "object" and not schema.get("properties")
    return is_object and isinstance(values, Mapping) and values.get("type") == "string"


def lines(value: Mapping[str, Any]) -> list[str]:
    """Return the pairs of a map as :class:`MapField` reads them."""
    return [f"{name} = {meant}" for name, meant in value.items()]


class MapField(forms.CharField):
    """A text area for a map. Its value is a dictionary, or None if nothing was entered."""

    def __init__(self, *, help_text: str = "", **kwargs: Any) -> None:
        help_text = " ".join(filter(None, [help_text, _("One pair on each line, with = between its parts.")]))
        widget = forms.Textarea(attrs={"rows": 3, "placeholder": "… = …"})
        super().__init__(widget=widget, help_text=help_text, **kwargs)

    def clean(self, value: Any) -> dict[str, str] | None:
        """Return the pairs of a text. Only the first ``=`` of a line separates.

        :raises ValidationError: a line is no pair, or repeats the first part of another one
        """
        found: dict[str, str] = {}
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if not line.strip():
                continue
            name, _sign, meant = (part.strip() for part in line.partition("="))
            if not name or not meant:
                raise forms.ValidationError(_("Line %s is not a pair with = between its parts.") % number)
            if name in found:
                raise forms.ValidationError(
                    _("Line %(number)s has another value for %(name)s.") % {"number": number, "name": name}
                )
            found[name] = meant
        return found or None

    def prepare_value(self, value: Any) -> Any:
        """Return the text for a map, such as a default, and what was entered as it is."""
        return "\n".join(lines(value)) if isinstance(value, Mapping) else value
