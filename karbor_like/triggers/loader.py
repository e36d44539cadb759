"""Discovery of trigger types and time formats by their entry points.

A plugin that cannot be loaded is skipped and logged. Triggers that need it wait; all others fire.
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
    """Create the installed trigger types, by name."""
    types = {}
    for name, plugin in _load_plugins(TRIGGER_TYPES).items():
        if isinstance(plugin, type) and issubclass(plugin, TriggerType):
            types[name] = plugin()
        else:
            LOG.error("%s: plugin %r skipped: %r is not a TriggerType", TRIGGER_TYPES, name, plugin)
    return types


def time_formats() -> Mapping[str, Callable[..., Any]]:
    """Load the installed time formats, by name; see ``TimeFormat`` in ``time.py``."""
    return _load_plugins(TIME_FORMATS)


def _load_plugins(namespace: str) -> Mapping[str, Any]:
    def log_failure(manager: Any, entry_point: Any, error: BaseException) -> None:
        LOG.error("%s: plugin %r skipped: it cannot be loaded: %r", namespace, entry_point.name, error)

    manager = extension.ExtensionManager(namespace, on_load_failure_callback=log_failure)
    return {name: manager[name].plugin for name in sorted(manager.names())}
