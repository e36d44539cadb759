"""Finds plugins by their entry points."""

import pkgutil
from collections.abc import Mapping
from typing import Any, Final

from oslo_config import cfg
from stevedore import extension, named

from karbor_like import exception
from karbor_like.plugins.operation import ScheduledOperationType
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.protection import ProtectionPlugin

PROTECTABLES: Final = "karbor_like.protectables"
PROTECTIONS: Final = "karbor_like.protections"
OPERATIONS: Final = "karbor_like.operations"


def protectables() -> Mapping[str, ProtectablePlugin]:
    """All installed protectable plugins: resource type -> plugin, in the order of their entry points' names.

    Raises ConfigurationError naming the plugin where one cannot be loaded.
    """
    return {plugin.resource_type: plugin() for plugin in _all(PROTECTABLES, ProtectablePlugin, "protectable").values()}


def operation_types() -> Mapping[str, ScheduledOperationType]:
    """All installed types of scheduled operations, by name. Raises ConfigurationError where one cannot be loaded."""
    return {name: plugin() for name, plugin in _all(OPERATIONS, ScheduledOperationType, "operation").items()}


def _all(namespace: str, base: type, kind: str) -> Mapping[str, Any]:
    def failed(manager: Any, entry_point: Any, error: BaseException) -> None:
        raise exception.ConfigurationError(f"{kind} plugin {entry_point.name!r} cannot be loaded: {error!r}") from error

    found = extension.ExtensionManager(namespace, on_load_failure_callback=failed)
    plugins = {name: found[name].plugin for name in sorted(found.names())}
    for name, plugin in plugins.items():
        _require(plugin, base, f"{kind} plugin {name!r}")
    return plugins


def protection(name: str, conf: cfg.ConfigOpts, provider: str) -> ProtectionPlugin:
    """A provider's protection plugin. Its options are registered on *conf*.

    :param name: an entry point of ``karbor_like.protections``, or the full path of a class (``package.module:Class``)
    :param conf: the provider's configuration
    :param provider: the provider's name or file, for messages

    Raises ConfigurationError naming plugin and provider.
    """
    plugin = _resolve(name, provider) if ":" in name else _entry_point(name, provider)
    _require(plugin, ProtectionPlugin, f"provider {provider}: plugin {name!r}")
    try:
        if plugin.options:
            conf.register_opts(plugin.options, group=plugin.group)
            dict(conf[plugin.group])  # a value that is wrong shows here, not in the middle of an operation
        return plugin(conf)
    except cfg.Error as error:
        raise exception.ConfigurationError(f"provider {provider}: plugin {name!r}: {error}") from error


def _entry_point(name: str, provider: str) -> Any:
    def failed(manager: Any, entry_point: Any, error: BaseException) -> None:
        raise exception.ConfigurationError(
            f"provider {provider}: plugin {name!r} cannot be loaded: {error!r}"
        ) from error

    manager: named.NamedExtensionManager[Any] = named.NamedExtensionManager(
        PROTECTIONS, [name], on_load_failure_callback=failed, warn_on_missing_entrypoint=False
    )
    if name not in manager:
        installed = ", ".join(sorted(set(manager.entry_points_names()))) or "none"
        raise exception.ConfigurationError(f"provider {provider}: there is no plugin {name!r}; installed: {installed}")
    return manager[name].plugin


def _resolve(path: str, provider: str) -> Any:
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise exception.ConfigurationError(
            f"provider {provider}: plugin {path!r} cannot be loaded: {error!r}"
        ) from error


def _require(plugin: Any, base: type, what: str) -> None:
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise exception.ConfigurationError(f"{what} is not a {base.__name__} but {plugin!r}")
