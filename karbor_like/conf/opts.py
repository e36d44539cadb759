"""Discovery of all option groups of this package, so that the sample configuration is always complete.

A module defines one group as ``GROUP`` and ``OPTS``, or several similar ones as ``GROUPS`` (a list of pairs). Options that
belong in the sample but are registered later, elsewhere, are in ``SAMPLE_ONLY`` (group name -> options).
"""

import copy
import importlib
import pkgutil
from types import ModuleType

from oslo_config import cfg
from oslo_db import options as db_options

import karbor_like.conf


def _modules() -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(karbor_like.conf.__path__) if info.name != "opts")
    return [importlib.import_module(f"karbor_like.conf.{name}") for name in names]


def _groups(module: ModuleType) -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return module.GROUPS if hasattr(module, "GROUPS") else [(module.GROUP, module.OPTS)]


def register(conf: cfg.ConfigOpts) -> None:
    """Register all option groups on *conf*."""
    for module in _modules():
        for group, options in _groups(module):
            # oslo.config stores overrides in the group object, so every ConfigOpts needs its own copy.
            conf.register_opts(options, group=copy.deepcopy(group))


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    """List all options for oslo-config-generator."""
    listed: list[tuple[cfg.OptGroup | str, list[cfg.Opt]]] = []
    for module in _modules():
        extra = getattr(module, "SAMPLE_ONLY", {})
        listed += [(group, [*options, *extra.get(group.name, [])]) for group, options in _groups(module)]
    return listed


def set_defaults() -> None:
    """Override defaults of library options. Called by oslo-config-generator and by ``service.prepare``."""
    # More than the threads of any service: what exceeds the pool is opened and closed for each use.
    cfg.set_defaults(db_options.database_opts, max_pool_size=20)
