"""Finds types of triggers and formats of times by their entry points.

What cannot be loaded is left out, and the log says so: triggers that need it wait, all others fire.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from stevedore import extension

from karbor_like.triggers.contract import TriggerType

LOG = logging.getLogger(__name__)

TRIGGER_TYPES: Final = "karbor_like.trigger_types"
TIME_FORMATS: Final = "karbor_like.time_formats"


def trigger_types() -> Mapping[str, TriggerType]:
    """All installed types of triggers, by name."""
    found = {}
    for name, plugin in _installed(TRIGGER_TYPES).items():
        if isinstance(plugin, type) and issubclass(plugin, TriggerType):
            found[name] = plugin()
        else:
            LOG.error("%s: %r is left out: %r is not a TriggerType", TRIGGER_TYPES, name, plugin)
    return found


def time_formats() -> Mapping[str, Callable[..., Any]]:
    """All installed formats, by name; see ``TimeFormat`` in ``time.py``."""
    return _installed(TIME_FORMATS)


def _installed(namespace: str) -> Mapping[str, Any]:
    def failed(manager: Any, entry_point: Any, error: BaseException) -> None:
        LOG.error("%s: %r is left out, because it cannot be loaded: %r", namespace, entry_point.name, error)

    found = extension.ExtensionManager(namespace, on_load_failure_callback=failed)
    return {name: found[name].plugin for name in sorted(found.names())}
