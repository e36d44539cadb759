"""Whether the banks of the loaded providers can be reached, for the report of the service."""

import logging
import threading
from collections.abc import Iterable
from typing import Any, Final

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

#: Seconds between two requests to a bank.
_PAUSE: Final = 60.0
#: Seconds without an answer after which a bank counts as unreachable. The request itself is retried for longer.
_PATIENCE: Final = 30.0
#: Maximum length of a reason, in characters.
_MAX_TEXT: Final = 500


class _Probe:
    """The requests to one bank, each in a thread of its own: a bank that is silent must not delay anything."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._began: float | None = None
        self._running = False
        self._known = False
        self._problem: str | None = None

    def begin(self) -> None:
        """Send a request, unless the latest one is young or not answered."""
        now = self._clock.monotonic()
        if self._running or (self._began is not None and now < self._began + _PAUSE):
            return
        self._began, self._running = now, True
        threading.Thread(target=self._ask, name=f"bank of {self._provider.name}", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._provider.bank.store.list("", limit=1)
            problem = None
        except exception.KarborLikeError as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001 - the border of a thread; a driver may be a plugin
            LOG.exception("Bank of provider %s", self._provider.name)
            problem = f"unexpected {type(error).__name__}"
        self._problem, self._known, self._running = problem, True, False

    @property
    def state(self) -> tuple[str, str | None]:
        """``reachable``, ``unreachable`` or ``unknown``, and the reason."""
        waited = self._clock.monotonic() - self._began if self._running and self._began is not None else 0.0
        if waited > _PATIENCE:
            return "unreachable", f"it has not answered for {waited:.0f} seconds"
        if not self._known:
            return "unknown", None
        return ("reachable", None) if self._problem is None else ("unreachable", self._problem[:_MAX_TEXT])


class Banks:
    """The banks of the providers of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._probes: dict[Provider, _Probe] = {}

    def report(self, providers: Iterable[Provider]) -> list[dict[str, Any]]:
        """Describe *providers* and the states of their banks: ``id``, ``name``, ``bank`` and ``reason``. Never waits.

        Sends the requests by which the next report knows the states.
        """
        self._probes = {provider: self._probes.get(provider) or _Probe(provider, self._clock) for provider in providers}
        found = []
        for provider, probe in self._probes.items():
            probe.begin()
            state, reason = probe.state
            found.append({"id": provider.id, "name": provider.name, "bank": state, "reason": reason})
        return found
