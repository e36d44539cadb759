"""The time limit of copies inside a cloud, as an option of a plugin."""

from typing import Any, Final

from oslo_config import cfg

from karbor_like.plugins.protection import HookContext

_GIB: Final = 1024**3


def seconds_per_gib(what: str) -> cfg.Opt:
    """Return the option for :class:`TransferTimeout`.

    :param what: the copies that it limits, for the help text
    """
    return cfg.IntOpt(
        "seconds_per_gib",
        default=120,
        min=1,
        help=f"""
Time limit for each GiB that {what}, in seconds. It is added to [waiter] timeout. The operation fails when the limit is
reached.
""",
    )


class TransferTimeout:
    """Mixin of protection plugins whose options include :func:`seconds_per_gib`."""

    conf: Any

    def timeout(self, context: HookContext, size: int) -> float:
        """Return the seconds that a cloud may take to copy *size* bytes."""
        return context.waiter.timeout + size / _GIB * self.conf.seconds_per_gib
