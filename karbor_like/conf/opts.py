"""Finds every option group of this package, so that the sample configuration can never miss one.

A module holds one group as ``GROUP`` and ``OPTS``, or several that differ in a name as ``GROUPS`` (a list of pairs). What
belongs in the sample although it is registered elsewhere, later, is in ``SAMPLE_ONLY`` (group name -> options).
"""

import copy
import importlib
import pkgutil
from types import ModuleType

from oslo_config import cfg

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
            # oslo.config keeps what is set later (overrides) in the group, whose copies would share it.
            conf.register_opts(options, group=copy.deepcopy(group))


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    """What oslo-config-generator reads."""
    found: list[tuple[cfg.OptGroup | str, list[cfg.Opt]]] = []
    for module in _modules():
        extra = getattr(module, "SAMPLE_ONLY", {})
        found += [(group, [*options, *extra.get(group.name, [])]) for group, options in _groups(module)]
    return found


def set_defaults() -> None:
    """Defaults of library options that differ here. Called by oslo-config-generator and by ``service.prepare``."""
