"""How far an operation is, as the fragment of a page that is asked for again until it has ended.

Then the page renews what else depends on the status: its actions, and the elements with ``data-dp-facts``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from horizon import views

from karbor_like_dashboard.common import texts
from karbor_like_dashboard.exceptions import Failure

#: The fragment.
TEMPLATE = "karbor_like_dashboard/progress.html"


class View(views.HorizonTemplateView):
    """The fragment. While the API fails, the page keeps the last one, shows the reason, and asks again."""

    template_name = TEMPLATE

    def fragment(self) -> dict[str, Any]:
        """Return the context of the fragment.

        :raises Failure: the API failed
        """
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), **self.fragment()}

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get(request, *args, **kwargs)
        except Failure as error:
            status = error.status if error.status in (403, 404) else 503
            return HttpResponse(str(error), status=status, content_type="text/plain; charset=utf-8")


def percent(done: Any, total: Any) -> int | None:
    """Return a percentage from 0 to 100; None if the total is not known."""
    return max(0, min(100, int(100 * (done or 0) / total))) if total else None


def context(work: Any, names: Mapping[str, str] | None = None, *, started: datetime | None = None) -> dict[str, Any]:
    """Return what the fragment shows of a checkpoint, restore or verification.

    :param names: of resources, by ``Type#id``
    :param started: when the operation began, to show the average rate and the time that is left
    """
    now = work.progress_now()
    running = work.status in texts.UNFINISHED
    rate = left = None
    seconds = (timezone.now() - started).total_seconds() if started else 0
    if running and now.bytes_done and seconds > 0:
        rate = now.bytes_done / seconds
        if now.bytes_total:
            left = texts.duration(max(0, now.bytes_total - now.bytes_done) / rate)
    return {
        "running": running,
        "status": texts.status(work.status),
        "state": work.status,
        "reason": work.reason,
        "done": texts.size(now.bytes_done),
        "total": None if now.bytes_total is None else texts.size(now.bytes_total),
        "percent": percent(now.bytes_done, now.bytes_total),
        "rate": None if rate is None else texts.size(rate),
        "left": left,
        "resources": [_resource(key, state, names or {}) for key, state in sorted(now.resources.items())],
    }


def _resource(key: str, state: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    kind, _, id_ = key.partition("#")
    return {
        "type": texts.resource_type(kind),
        "name": names.get(key) or id_,
        "status": texts.status(state.get("status")),
        "state": state.get("status"),
        "step": state.get("step"),
        "reason": state.get("reason"),
        "done": texts.size(state.get("bytes_done")),
        "total": texts.size(state.get("bytes_total")),
        "percent": percent(state.get("bytes_done"), state.get("bytes_total")),
    }


def cell(work: Any) -> str:
    """Return the progress as the text of a table's cell."""
    if work.status not in texts.UNFINISHED:
        return texts.size(work.logical_bytes)
    now = work.progress_now()
    known = percent(now.bytes_done, now.bytes_total)
    share = "" if known is None else f" ({known} %)"
    return f"{texts.size(now.bytes_done)} / {texts.size(now.bytes_total)}{share}"
