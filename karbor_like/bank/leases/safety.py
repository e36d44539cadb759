"""Every age and margin that the bank's safety rests on, each with its reason, in one place.

``doc/source/contributor/bank-concurrency.rst`` argues from these numbers why nothing is ever lost; the relations that the
argument needs are checked when a :class:`Safety` is made. All times are *the store's*: what it writes into
``ObjectInfo.modified``. No two machines of ours need clocks that agree.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from oslo_config import cfg

from karbor_like import exception

#: Options of group ``[bank]`` of a provider's file.
OPTS: Final = [
    cfg.IntOpt(
        "lease_duration",
        default=3600,
        min=300,
        help="""
Seconds that a writer's or reader's lease on the bank lasts without renewal; it is renewed six times as often. A writer
survives an outage of the bank that is a little shorter than this. Must be the same in every file that describes this bank.
""",
    ),
    cfg.IntOpt(
        "listing_lag",
        default=3600,
        min=0,
        help="""
Seconds by which a listing of the bank's store may be late. An hour is on the safe side for Swift; 0 is right for a local
file system. Must be the same in every file that describes this bank.
""",
    ),
    cfg.IntOpt(
        "quarantine",
        default=24 * 3600,
        min=120,
        help="""
Seconds that data which no checkpoint needs is kept before the collector deletes it: time to notice a mistake. At least
twice the listing_lag and two minutes.
""",
    ),
]


@dataclass(frozen=True)
class Safety:
    """Seconds, all of them, but for :attr:`refresh_below`.

    :param lease_duration: how long a lease is good for without a renewal. Long, because nobody waits for a dead writer's
        lease but the collector, and it bounds the outage of the store that a writer survives.
    :param lease_renewal: how often a lease is renewed by its thread. A sixth of the duration, so that five renewals in a
        row may fail. None: there is no thread, the owner calls :meth:`~karbor_like.bank.leases.lease.Lease.renew`.
    :param lease_margin: how long before its end a writer regards its lease as lost. Covers the time between the check
        and the moment in which what was checked for takes effect in the store.
    :param listing_lag: how long after a put or a delete a listing may still show the state before. Swift updates
        listings in the background and is at times an hour behind on a busy cluster; a local file system never is.
    :param clock_skew: how far apart the clocks of the store's own machines may be, and how coarsely it reports times.
    :param quarantine: how long a pack stays on a quarantine list before it may be deleted. Must outlast two listing lags
        (a writer that starts after the list was put sees the list; a lease that started before is seen by the
        collector). The rest of it is time to notice a mistake while nothing is gone yet.
    :param young: an unmarked pack younger than this is left alone without further thought: it most likely belongs to a
        writer at work. Saves noise; safety does not rest on it.
    :param leftovers: what a crash left behind outside of ``data/`` (parts of a deleted checkpoint, index keys of
        nothing) is cleared away when it was not touched for so long.
    :param abandoned: a checkpoint that is still ``protecting``, of which no writer's lease counts any more, and into which
        nothing was written for so long, is given an ``error`` event, so that it can be deleted. The service recovers
        its own operations much earlier; this is for those nobody remembers.
    :param refresh_below: a pack of which a smaller share than this is in use is given to writers as one whose blocks are
        to be stored anew when they are read again, so that old packs empty themselves. A quarter: then at most four
        times the live bytes are kept, and a block is copied seldom.
    """

    lease_duration: float = 3600
    lease_renewal: float | None = 600
    lease_margin: float = 120
    listing_lag: float = 3600
    clock_skew: float = 60
    quarantine: float = 24 * 3600
    young: float = 3600
    leftovers: float = 24 * 3600
    abandoned: float = 7 * 24 * 3600
    refresh_below: float = 0.25

    def __post_init__(self) -> None:
        needed = 2 * (self.listing_lag + self.clock_skew)
        if self.quarantine < needed:
            raise exception.ConfigurationError(
                f"[bank] quarantine is {self.quarantine:g} s; it must be at least {needed:g} s, two times listing_lag"
                f" ({self.listing_lag:g} s) and {self.clock_skew:g} s for clocks, or packs in use could be deleted"
            )
        if self.lease_duration <= 2 * self.lease_margin + (self.lease_renewal or 0):
            raise exception.ConfigurationError(
                f"[bank] lease_duration is {self.lease_duration:g} s; it must be more than lease_renewal"
                f" ({self.lease_renewal or 0:g} s) and {2 * self.lease_margin:g} s of margin together"
            )

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """What a provider's file says."""
        group = conf.bank
        return cls(
            lease_duration=group.lease_duration,
            lease_renewal=group.lease_duration / 6,
            lease_margin=group.lease_duration / 30,
            listing_lag=group.listing_lag,
            quarantine=group.quarantine,
            leftovers=group.quarantine,
        )

    @property
    def grace(self) -> timedelta:
        """How long after its end a lease still counts for the collector: until what was written under it is in listings."""
        return timedelta(seconds=self.listing_lag + self.clock_skew)

    def seconds(self, name: str) -> timedelta:
        """The age called *name* as a timedelta."""
        return timedelta(seconds=getattr(self, name))


DEFAULT: Final = Safety()

#: For tests and simulations: the same relations in seconds, and no thread that renews.
TEST: Final = Safety(
    lease_duration=60,
    lease_renewal=None,
    lease_margin=5,
    listing_lag=20,
    clock_skew=1,
    quarantine=100,
    young=10,
    leftovers=100,
    abandoned=1000,
)
