"""Lists: filters that are part of the address, pages, rows that are polled while something runs, and actions on rows."""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import BadRequest
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from horizon import exceptions as horizon_exceptions
from horizon import tables, views
from openstack_dashboard import policy

from karbor_like_dashboard import api
from karbor_like_dashboard.common import texts
from karbor_like_dashboard.exceptions import Failure

#: What the paging of Horizon adds to an address.
_PAGING = ("marker", "prev_marker")


def rules(*names: str) -> tuple[tuple[str, str], ...]:
    """Return rules of the service's policy as Horizon expects them."""
    return tuple((api.SERVICE, name) for name in names)


def allows(request: Any, *names: str) -> bool:
    """Return whether the policy of the service allows a user's requests."""
    return bool(policy.check(rules(*names), request))


class Table(tables.DataTable):
    """A table whose pages keep the filters of the address."""

    def get_object_id(self, datum: Any) -> str:
        return str(datum.id)

    def get_object_display(self, datum: Any) -> str:
        return str(getattr(datum, "name", None) or datum.id)

    def get_marker(self) -> str:
        return str(self.data[-1].id) if self.data else ""

    def get_prev_marker(self) -> str:
        return str(self.data[0].id) if self.data else ""

    def _with(self, name: str, value: str) -> str:
        query = self.request.GET.copy()
        for paging in _PAGING:
            query.pop(paging, None)
        query[name] = value
        return str(query.urlencode())

    def get_pagination_string(self) -> str:
        return self._with(self._meta.pagination_param, self.get_marker())

    def get_prev_pagination_string(self) -> str:
        return self._with(self._meta.prev_pagination_param, self.get_prev_marker())


class StatusColumn(tables.Column):
    """The status of an object, with a colour and a text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "status",
            verbose_name=_("Status"),
            status=True,
            status_choices=texts.STATUS_CHOICES,
            display_choices=tuple((value, text) for value, text in texts.STATUS.items()),
            **kwargs,
        )


class PolledRow(tables.Row):
    """A row that is asked for again while its object changes by itself."""

    ajax = True

    def get_data(self, request: Any, obj_id: str) -> Any:
        """Return the object. An object that was deleted is removed from the list."""
        try:
            return self.table.fetch(request, obj_id)
        except Failure as error:
            if error.status == 404:
                raise horizon_exceptions.NotFound(str(error)) from error
            # Horizon has no answer of its own that leaves the row as it is.
            raise BadRequest(str(error)) from error


class FilterForm(forms.Form):
    """Base of the filters above a list. Wrong values are shown as errors, and filter nothing."""

    def __init__(self, data: QueryDict, request: Any) -> None:
        # A dialog above the list may have fields of the same names, and a label belongs to one id.
        known = data if any(name in data for name in self.base_fields) else None
        super().__init__(known, prefix=None, auto_id="filter_%s")
        self.request = request
        for field in self.fields.values():
            field.required = False
            field.widget.attrs.setdefault("class", "form-control")

    def query(self) -> dict[str, Any]:
        """Return the filters that are given, by the names of the API."""
        if not self.is_bound:
            return {}
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}


class RequestFilterForm(FilterForm):
    """The filters above a list of restores or verifications."""

    status = forms.ChoiceField(
        label=_("Status"),
        choices=[("", _("Any")), *((each, texts.STATUS[each]) for each in ("in_progress", "success", "fail"))],
    )


class ListView(tables.DataTableView):
    """A list with filters and pages: one request to the API, and one more for the names of providers where it shows them."""

    template_name = "karbor_like_dashboard/list.html"
    filter_class: ClassVar[type[FilterForm] | None] = None
    #: The rule of the policy that a list needs.
    rule: ClassVar[str]
    unable: ClassVar[Any]
    #: Shown above the list.
    description: ClassVar[Any] = ""

    page = api.Page([])

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        """Return a page of the list.

        :param query: the filters
        """
        raise NotImplementedError

    def filters(self) -> FilterForm | None:
        """Return the form with the filters, the same one in each call."""
        if self.filter_class is None:
            return None
        if not hasattr(self, "_filters"):
            self._filters = self.filter_class(self.request.GET, self.request)
        return self._filters

    def get_data(self) -> list[Any]:
        if not allows(self.request, self.rule):
            return []
        with api.reporting(self.request, self.unable):
            form = self.filters()
            self.page = self.fetch(form.query() if form else {})
        return self.page.items

    def has_more_data(self, table: Any) -> bool:
        return self.page.has_next

    def has_prev_data(self, table: Any) -> bool:
        return self.page.has_previous

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        # A failure to make them was reported together with the list.
        with contextlib.suppress(Failure):
            context["filters"] = self.filters()
        context["description"] = self.description
        return context


class DetailView(views.HorizonTemplateView):
    """One object. If the API fails, the message is shown on the list."""

    page_title = "{{ title }}"
    rule: ClassVar[str]
    unable: ClassVar[Any]

    def fetch(self) -> Any:
        """Return what the page shows."""
        raise NotImplementedError

    def back(self) -> str:
        """Return the address of the list."""
        raise NotImplementedError

    def more(self, shown: Any) -> dict[str, Any]:
        """Return more for the template."""
        return {}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if not allows(self.request, self.rule):
            raise horizon_exceptions.NotAuthorized
        with api.reporting(self.request, self.unable, redirect=self.back()):
            shown = self.fetch()
            context.update({"title": getattr(shown, "name", None) or shown.id, "shown": shown, **self.more(shown)})
        return context


class _Reporting:
    """Shows why an action on a row failed, which Horizon alone does not."""

    def action(self, request: Any, datum_id: str) -> None:
        try:
            self.act(request, datum_id)
        except Failure:
            message = _("Unable to %(action)s %(name)s") % {
                "action": str(self._get_action_name()).lower(),  # type: ignore[attr-defined]
                "name": self.table.get_object_display(self.table.get_object_by_id(datum_id)),  # type: ignore[attr-defined]
            }
            horizon_exceptions.handle(request, message, escalate=True)

    def act(self, request: Any, datum_id: str) -> None:
        """Send the request.

        :raises Failure: the API refused it
        """
        raise NotImplementedError


class RowAction(_Reporting, tables.BatchAction):
    """An action on rows that acts at once."""

    #: Texts of one and of several objects.
    present: ClassVar[tuple[Any, Any]]
    past: ClassVar[tuple[Any, Any]]

    def action_present(self, count: int) -> Any:
        return self.present[count != 1]

    def action_past(self, count: int) -> Any:
        return self.past[count != 1]


class DangerAction(RowAction):
    """An action on rows that asks first."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action_type = "danger"


class DeleteAction(DangerAction):
    """Deletes the objects of rows."""

    name = "delete"
    icon = "trash"
    present = (_("Delete"), _("Delete"))
    past = (_("Requested the deletion of"), _("Requested the deletion of"))


def with_provider_name(request: Any, items: list[Any]) -> list[Any]:
    """Add ``provider_name`` to objects that have a ``provider_id``, with one request for all of them."""
    names: dict[str, str] = {}
    if items:
        with api.reporting(request, _("Unable to list the providers")):
            names = api.provider_names(request)
    for item in items:
        item.provider_name = names.get(item.provider_id, item.provider_id)
    return items
