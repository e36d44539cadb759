"""Ages and margins that the safety of a bank depends on, each with its reason.

``doc/source/contributor/bank-concurrency.rst`` proves from these numbers that nothing is lost. A :class:`Safety` checks the
relations that the proof needs. All times are *the store's*: ``ObjectInfo.modified``. The clocks of the hosts need not agree.
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
file system, and for an object store whose listings are strongly consistent, as those of Amazon S3 are. With 0, the end of a
protect asks for a thousand packs of earlier checkpoints in one request instead of for each. Must be the same in every file
that describes this bank.
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
    """Ages and margins in seconds. Only :attr:`refresh_below` is a share.

    :param lease_duration: how long a lease is valid without renewal. It is long, because only the collector waits for the
        lease of a dead writer. It limits the outage of the store that a writer survives.
    :param lease_renewal: interval at which a thread renews a lease. A sixth of the duration, so that five renewals in a row
        may fail. None: there is no thread, and the owner calls :meth:`~karbor_like.bank.leases.lease.Lease.renew`.
    :param lease_margin: how long before its end a writer regards its lease as lost. Covers the time between a check and
        the moment in which the request that follows takes effect in the store.
    :param listing_lag: how long after a put or a delete a listing may show the state before it. Swift updates listings in
        the background and is at times an hour behind on a busy cluster. A local file system has no lag.
    :param clock_skew: how far apart the clocks of the store's own machines may be, and how coarsely it reports times.
    :param quarantine: how long a pack is on a quarantine list before it may be deleted. Must be longer than two listing
        lags: a writer that starts after the list was put sees the list, and the collector sees a lease that started
        before. The rest is time to notice a mistake before anything is deleted.
    :param young: unmarked packs younger than this are skipped: most likely a writer is using them. Keeps reports short;
        safety does not depend on it.
    :param stale_after: stale objects outside of ``data/`` (parts of a deleted checkpoint, index keys without a checkpoint)
        are removed when they have not changed for this long.
    :param abandoned: a checkpoint that is still ``protecting``, that no counting lease has claimed, and that has not
        changed for this long, gets an ``error`` event, so that it can be deleted. The service recovers its own
        operations much earlier; this is for operations that no database knows.
    :param refresh_below: writers store the blocks of a pack again if a smaller share of it than this is in use. So old
        packs become empty. With a quarter, at most four times the live bytes are kept, and blocks are rarely copied.
    """

    lease_duration: float = 3600
    lease_renewal: float | None = 600
    lease_margin: float = 120
    listing_lag: float = 3600
    clock_skew: float = 60
    quarantine: float = 24 * 3600
    young: float = 3600
    stale_after: float = 24 * 3600
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
        """Read the options of a provider's file."""
        group = conf.bank
        return cls(
            lease_duration=group.lease_duration,
            lease_renewal=group.lease_duration / 6,
            lease_margin=group.lease_duration / 30,
            listing_lag=group.listing_lag,
            quarantine=group.quarantine,
            stale_after=group.quarantine,
        )

    @property
    def grace(self) -> timedelta:
        """How long a lease counts for the collector after its end: until what was written under it is in listings."""
        return timedelta(seconds=self.listing_lag + self.clock_skew)

    def seconds(self, name: str) -> timedelta:
        """Return the age *name* as a timedelta."""
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
    stale_after=100,
    abandoned=1000,
)
