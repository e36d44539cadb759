"""From a provider's file to the store that a bank uses: the driver it names, with retries around it."""

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
    """The store that *conf*, a provider's file, describes. Talks to nobody yet.

    :param name: of the driver: an entry point of the namespace ``karbor_like.banks``
    Raises ConfigurationError for a driver that there is not or that cannot be loaded, and for its wrong options.
    """
    driver = _load(name)
    for group, options in driver.options.items():
        conf.register_opts(options, group=group)
    return retry.RetryingStore(driver.from_conf(conf), driver.retry_policy(conf), clock)


def _load(name: str) -> type[base.ObjectStore]:
    try:
        manager: drivers.DriverManager[type[base.ObjectStore]] = drivers.DriverManager(
            NAMESPACE, name, on_load_failure_callback=_failed, on_missing_entrypoints_callback=None
        )
    except stevedore_errors.NoMatches:
        known = ", ".join(sorted(metadata.entry_points(group=NAMESPACE).names))
        raise exception.ConfigurationError(f"there is no bank {name!r}; installed are: {known}") from None
    return cast(type[base.ObjectStore], manager.driver)


def _failed(manager: object, entry_point: metadata.EntryPoint, error: BaseException) -> None:
    raise exception.ConfigurationError(
        f"the bank {entry_point.name!r} cannot be loaded: {error}; what a driver needs beyond the base installation is"
        f" in the extra of its name, as in pip install karbor_like[{entry_point.name}]"
    ) from error
