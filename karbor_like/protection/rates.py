"""Limits on the bytes per second of this process and of each of its operations.

There are two links: to the banks and to the cloud. Every limit holds for each of them, so that no byte counts twice: a piece
of an image that is stored counts once on its way from the cloud, and its block, if it is new, once on its way to the bank.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from oslo_config import cfg

from karbor_like.clock import Clock
from karbor_like.rate import Rate

P = TypeVar("P", bound=bytes | memoryview)


@dataclass(frozen=True)
class OperationRates:
    """The rates that the data of one operation passes, in this order.

    :param bank: on its way to or from a bank, whose own rate follows
    :param cloud: on its way to or from the cloud
    """

    bank: Sequence[Rate]
    cloud: Sequence[Rate]

    def paced(self, pieces: Iterable[P], check: Callable[[], None]) -> Iterable[P]:
        """Return the pieces of a stream from or to the cloud, each when it may pass; as they are if no rate is limited now.

        :param check: called several times a second while a piece waits; raises to stop
        """
        rates = [rate for rate in self.cloud if rate.is_limited]
        return _paced(pieces, rates, check) if rates else pieces


def _paced(pieces: Iterable[P], rates: Sequence[Rate], check: Callable[[], None]) -> Iterator[P]:
    for piece in pieces:
        for rate in rates:
            rate.take(len(piece), check)
        yield piece


class Rates:
    """The rates of one process. Limits are those that the options have at the moment."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock) -> None:
        self._options = conf.protection
        self._clock = clock
        self._bank, self._cloud = (self._rate("max_bytes_per_second") for _ in range(2))

    @property
    def waiting(self) -> int:
        """Number of transfers that wait for a limit of the process."""
        return self._bank.waiting + self._cloud.waiting

    def operation(self) -> OperationRates:
        """Return the rates of one operation while this process runs it: its own ones, then those of the process."""
        own = [self._rate("max_operation_bytes_per_second") for _ in range(2)]
        return OperationRates(bank=(own[0], self._bank), cloud=(own[1], self._cloud))

    def _rate(self, option: str) -> Rate:
        return Rate(lambda: getattr(self._options, option), self._clock)
