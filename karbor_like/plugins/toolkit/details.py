"""The details of a resource: what an operation sets, or reads, in addition to the bytes.

If the bytes are complete, a detail that the cloud refuses is no reason to discard them. It becomes a remark instead.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.messages import without_request_id
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names

LOG = logging.getLogger(__name__)

#: Names that a remark lists.
_MAX_NAMES: Final = 10


class Details:
    """Sets details one after another, with retries, and collects those that the cloud refused.

    :param what: the resource whose details they are, such as "volume X", for messages
    """

    def __init__(self, context: HookContext, what: str) -> None:
        self._context = context
        self._what = what
        self._refused: dict[str, list[str]] = {}

    def finish(self, objects: CloudObjects, cloud_id: str) -> list[str]:
        """Return a remark for each refused detail, with the cloud's reason.

        Raises ResourceNotFound if the cloud refused them because the resource no longer exists.
        """
        if self._refused:
            try:
                self._call(lambda: objects.get(cloud_id))
            except (exception.LeaseLost, exception.Cancelled, exception.ResourceNotFound):
                raise
            except exception.KarborLikeError as error:
                LOG.warning(
                    "%s: it is unknown whether %s still exists: %s", self._context.resource.key, self._what, error
                )
        return [f"{shorten(names)} could not be restored: {reason}" for reason, names in self._refused.items()]

    def set(self, name: str, action: Callable[[], object]) -> bool:
        """Set one detail, and return whether the cloud accepted it.

        :param action: idempotent; calls a client library

        Raises only what ``context.check`` raises.
        """
        reason = self.attempt(action)
        if reason is not None:
            self._refuse(name, reason)
        return reason is None

    def set_all(
        self,
        values: Mapping[str, Any],
        send: Callable[[Mapping[str, Any]], object],
        *,
        instead: Mapping[str, Any] | None = None,
        label: str = "",
    ) -> bool:
        """Set several details in one request. If the cloud refuses it, send each in a request of its own.

        :param send: sets the given values and leaves other details unchanged; as *action* of :meth:`set`
        :param instead: values to try in place of refused ones, by name
        :param label: what the names in *values* are, such as "property ", for messages
        :returns: whether the cloud accepted the one request
        """
        if not values or self.attempt(lambda: send(values)) is None:
            return True
        for name, value in values.items():
            reason = self.attempt(lambda name=name, value=value: send({name: value}))  # type: ignore[misc]
            if reason is None:
                continue
            other = (instead or {}).get(name, value)
            if other != value and self.attempt(lambda name=name, other=other: send({name: other})) is None:  # type: ignore[misc]
                self._refuse(f"{label}{name}", f"{reason}; it is {other!r} instead")
            else:
                self._refuse(f"{label}{name}", reason)
        return False

    def attempt(self, action: Callable[[], object]) -> str | None:
        """Perform *action* as :meth:`set` does, without a remark. Return why the cloud refuses it, or None if it does not."""
        try:
            self._call(action)
        except (exception.LeaseLost, exception.Cancelled):
            raise
        except exception.KarborLikeError as error:
            return exception.public_text(error)
        except Exception as error:  # noqa: BLE001 - a bug in a client library is no reason to discard the bytes either
            LOG.exception("%s: a detail of %s failed unexpectedly", self._context.resource.key, self._what)
            return f"{self._what}: unexpected {type(error).__name__}"
        return None

    def _call(self, action: Callable[[], object]) -> None:
        def call() -> None:
            with translated(self._what):
                action()

        self._context.waiter.call(call, check=self._context.check)

    def _refuse(self, name: str, reason: str) -> None:
        LOG.warning("%s: %s: %s", self._context.resource.key, name, reason)
        self._refused.setdefault(without_request_id(reason), []).append(name)


def rename(
    context: HookContext,
    objects: CloudObjects,
    cloud_id: str,
    send: Callable[[Mapping[str, Any]], object],
    name: str | None,
    description: str | None = None,
) -> list[str]:
    """Give an object that is kept the name that the request asks for, if any, instead of the one by which the operation
    finds it, and the description, if any. Return remarks.

    :param send: sets the given ones of ``name`` and ``description``; see :meth:`Details.set`
    """
    texts = {key: text for key, text in {"name": name, "description": description}.items() if text}
    if not texts:
        return []
    details = Details(context, f"{objects.noun} {cloud_id}")
    details.set_all(texts, send, instead={key: names.plain(text) for key, text in texts.items()})
    return details.finish(objects, cloud_id)


def shorten(names: Sequence[str]) -> str:
    """Return a list of *names* for a message, which has only the first ones if there are many."""
    surplus = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {surplus} more" if surplus > 0 else "")
