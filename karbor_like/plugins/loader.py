"""Loading of plugins by their entry points."""

import logging
import pkgutil
from collections.abc import Mapping
from typing import Any, Final

from oslo_config import cfg
from stevedore import extension, named

from karbor_like import exception
from karbor_like.plugins import protectable, protection
from karbor_like.plugins.operation import ScheduledOperationType
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.protection import ProtectionPlugin

LOG = logging.getLogger(__name__)

PROTECTABLES: Final = "karbor_like.protectables"
PROTECTIONS: Final = "karbor_like.protections"
OPERATIONS: Final = "karbor_like.operations"


def protectables() -> Mapping[str, ProtectablePlugin]:
    """Return all installed protectable plugins by resource type, in the order of their entry points' names.

    A plugin for another version of the contract is logged and left out. Raises ConfigurationError if a plugin cannot be
    loaded.
    """
    plugins: dict[str, ProtectablePlugin] = {}
    for name, plugin in _all(PROTECTABLES, ProtectablePlugin, "protectable").items():
        mismatch = _version_mismatch(plugin, protectable.API_VERSION)
        if mismatch:
            LOG.error("protectable plugin %r is left out: %s", name, mismatch)
        else:
            plugins[plugin.resource_type] = plugin()
    return plugins


def operation_types() -> Mapping[str, ScheduledOperationType]:
    """Return all installed types of scheduled operations by name. Raises ConfigurationError if one cannot be loaded."""
    return {name: plugin() for name, plugin in _all(OPERATIONS, ScheduledOperationType, "operation").items()}


def installed_protections() -> list[type[ProtectionPlugin]]:
    """Return the classes of all installed protection plugins, whether or not a provider uses them.

    One that cannot be loaded, or that is for another version of the contract, is left out.
    """

    def failed(manager: Any, entry_point: Any, error: BaseException) -> None:
        LOG.warning("protection plugin %r cannot be loaded: %r", entry_point.name, error)

    manager = extension.ExtensionManager(PROTECTIONS, on_load_failure_callback=failed)
    plugins = [manager[name].plugin for name in sorted(manager.names())]
    return [
        plugin
        for plugin in dict.fromkeys(plugins)
        if isinstance(plugin, type)
        and issubclass(plugin, ProtectionPlugin)
        and not _version_mismatch(plugin, protection.API_VERSION)
    ]


def _all(namespace: str, base: type, kind: str) -> Mapping[str, Any]:
    def failed(manager: Any, entry_point: Any, error: BaseException) -> None:
        raise exception.ConfigurationError(f"{kind} plugin {entry_point.name!r} cannot be loaded: {error!r}") from error

    manager = extension.ExtensionManager(namespace, on_load_failure_callback=failed)
    plugins = {name: manager[name].plugin for name in sorted(manager.names())}
    for name, plugin in plugins.items():
        _require(plugin, base, f"{kind} plugin {name!r}")
    return plugins


def load_protection(name: str, conf: cfg.ConfigOpts, provider: str) -> ProtectionPlugin:
    """Create a provider's protection plugin and register its options on *conf*.

    :param name: an entry point of ``karbor_like.protections``, or the full path of a class (``package.module:Class``)
    :param conf: the provider's configuration
    :param provider: the provider's name or file, for messages

    Raises ConfigurationError naming plugin and provider, also for a plugin for another version of the contract.
    """
    plugin = _resolve(name, provider) if ":" in name else _entry_point(name, provider)
    what = f"provider {provider}: plugin {name!r}"
    _require(plugin, ProtectionPlugin, what)
    mismatch = _version_mismatch(plugin, protection.API_VERSION)
    if mismatch:
        raise exception.ConfigurationError(f"{what} is refused: {mismatch}")
    try:
        if plugin.options:
            conf.register_opts(plugin.options, group=plugin.group)
            dict(conf[plugin.group])  # reports a wrong value now, not in the middle of an operation
        return plugin(conf)
    except cfg.Error as error:
        raise exception.ConfigurationError(f"{what}: {error}") from error


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


def _version_mismatch(plugin: Any, supported: int) -> str | None:
    """Return why *plugin* does not fit the contract's version *supported*, or None if it does."""
    if plugin.api_version == supported:
        return None
    declared = f"version {plugin.api_version}" if plugin.api_version is not None else "no version"
    return f"it declares {declared} of the plugin contract (api_version), this service supports version {supported}"
