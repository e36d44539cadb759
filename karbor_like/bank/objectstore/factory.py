"""The store of a bank, from a provider's file: the driver that it names, wrapped with retries."""

from importlib import metadata
from typing import cast

from oslo_config import cfg
from stevedore import driver as drivers
from stevedore import exception as stevedore_errors

from karbor_like import exception
from karbor_like.bank.objectstore import base, retry
from karbor_like.clock import Clock

NAMESPACE = "karbor_like.banks"


def open_store(conf: cfg.ConfigOpts, name: str, clock: Clock) -> base.ObjectStore:
    """Create the store that a provider's file describes, without connecting to it.

    :param conf: the provider's file; the options of the driver are registered here
    :param name: of the driver: an entry point of the namespace ``karbor_like.banks``
    :raises ConfigurationError: the driver does not exist or cannot be loaded, or an option is wrong
    """
    driver = _load(name)
    for group, options in driver.options.items():
        conf.register_opts(options, group=group)
    return retry.RetryingStore(driver.from_conf(conf), driver.retry_policy(conf), clock)


def _load(name: str) -> type[base.ObjectStore]:
    try:
        manager: drivers.DriverManager[type[base.ObjectStore]] = drivers.DriverManager(
            NAMESPACE, name, on_load_failure_callback=_raise_failure, on_missing_entrypoints_callback=None
        )
    except stevedore_errors.NoMatches:
        installed = ", ".join(sorted(metadata.entry_points(group=NAMESPACE).names))
        raise exception.ConfigurationError(f"bank {name!r}: is not installed; installed are {installed}") from None
    return cast(type[base.ObjectStore], manager.driver)


def _raise_failure(manager: object, entry_point: metadata.EntryPoint, error: BaseException) -> None:
    extra = entry_point.module.rpartition(".")[2]
    raise exception.ConfigurationError(
        f"bank {entry_point.name!r}: cannot be loaded: {error}; additional dependencies of a driver are in the extra with"
        f" its name: pip install karbor_like[{extra}]"
    ) from error
