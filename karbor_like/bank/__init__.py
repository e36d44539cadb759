"""A store of checkpoints in an object store: the public interface of this package.

Other packages import only the names below; ``lint-imports`` enforces that. Typical use::

    bank = open_bank(conf, clock)
    with bank.leases.acquire(holder="host:pid protect", bases=[], kind="write") as lease:
        bank.checkpoints.create(record, lease)
        section = bank.section(record.id, record.project_id, "OS::Cinder::Volume#<id>", lease=lease)
        section.write("data", chunks, size=size)
        bank.checkpoints.commit(record.id, lease)

The package needs nothing else of this project but ``exception`` and ``clock``.
"""

from karbor_like.bank import errors, verify
from karbor_like.bank.bank import Bank, open_bank
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.checkpoints.checkpoints import CheckpointRecord, IndexEntry
from karbor_like.bank.checkpoints.copier import copy as copy_section
from karbor_like.bank.checkpoints.section import Level as VerifyLevel
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.checkpoints.section_interface import Section
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.collector.stats import collect as collect_stats
from karbor_like.bank.leases.lease import Lease

__all__ = [
    "Bank",
    "CheckpointRecord",
    "Collector",
    "IndexEntry",
    "Lease",
    "ResourceSection",
    "Section",
    "StreamReader",
    "StreamStats",
    "VerifyLevel",
    "collect_stats",
    "copy_section",
    "errors",
    "open_bank",
    "verify",
]
