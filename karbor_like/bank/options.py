"""Options of a bank, in group ``[bank]`` of a provider's file."""

import os
from dataclasses import dataclass
from typing import Final, Self

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank.format import manifest, pack, segment
from karbor_like.bank.objectstore.base import MAX_OBJECT_BYTES

GROUP: Final = "bank"
_MIB: Final = 1024 * 1024
_MOST_SENDERS: Final = 8

OPTS: Final = [
    cfg.BoolOpt(
        "encryption",
        default=True,
        help="""
Whether everything in the bank is encrypted (AES-256-GCM, with a key per project that a master key wraps) and authenticated.
Decide before the first checkpoint: a bank that is encrypted refuses what is not, and the other way round.
""",
    ),
    cfg.MultiStrOpt(
        "master_keys",
        default=[],
        secret=True,
        help="""
Master keys, one per line: a name, a colon, and 32 bytes in base64 ('openssl rand -base64 32'). The first one wraps the keys
of projects, all unwrap them. To rotate, put a new key in front and run 'karbor-like-manage bank rotate-keys'; then the old
one may go. Keep a copy elsewhere: without a master key nothing in the bank can be read.
""",
    ),
    cfg.ListOpt(
        "castellan_master_keys",
        default=[],
        help="""
Ids of master keys in a key manager (Barbican, Vault ...), in place of master_keys: keys of 32 bytes, the wrapping one first.
Sections [key_manager] and that of its backend in the same file say how to reach it.
""",
    ),
    cfg.IntOpt(
        "compression_level",
        default=1,
        min=-7,
        max=19,
        help="""
Level of zstd: higher is smaller and slower. Above 3 a backup is rarely faster than the disk it comes from; negative levels
are for fast networks. Data that does not get smaller is stored as it is, at any level.
""",
    ),
    cfg.IntOpt(
        "memory_budget",
        default=96,
        min=48,
        help="""
MiB that all streams of this bank in one process may take together: two thirds for those that are written (blocks being read,
packs being filled and sent), one third for those that are read. Streams that do not fit wait: with 96, two are written and
two are read at once. More helps where the bank is far away, or several volumes are to be protected at once.
""",
    ),
    cfg.IntOpt(
        "threads",
        default=0,
        min=0,
        max=64,
        help="""
Threads that compress and encrypt what is written, or decrypt and check what is read, per stream. 0: as many as there are
processors, at most 4.
""",
    ),
]


@dataclass(frozen=True)
class BankOptions:
    """How a bank is written. What is here does not matter to a reader. Sizes in bytes.

    :param block_size: equal for all streams that are to share blocks
    :param segment_blocks: blocks of a segment of a manifest
    :param pack_size: the most that a pack may have
    :param compression_level: of zstd
    :param memory_budget: for all streams of the bank together
    :param threads: that compress and encrypt, or decrypt and check, per stream; 0: as many as there are processors
    """

    block_size: int = 128 * 1024
    segment_blocks: int = 8192
    pack_size: int = 16 * _MIB
    compression_level: int = 1
    memory_budget: int = 96 * _MIB
    threads: int = 0

    def __post_init__(self) -> None:
        least = self.block_size + pack.FRAME_BYTES + pack.ROW_BYTES + segment.MAX_OVERHEAD
        if (
            not 1 <= self.block_size <= manifest.MAX_BLOCK_SIZE
            or not 1 <= self.segment_blocks <= segment.MAX_BLOCKS
            or not least <= self.pack_size <= MAX_OBJECT_BYTES
        ):
            raise exception.ConfigurationError(
                f"the bank's block_size {self.block_size}, segment_blocks {self.segment_blocks} or pack_size"
                f" {self.pack_size} is outside of the limits of the format"
            )

    @property
    def workers(self) -> int:
        """Number of threads that work on one stream."""
        return self.threads or min(4, len(os.sched_getaffinity(0)))

    @property
    def senders(self) -> int:
        """Number of packs of a stream that are sent at once; with the one being filled they take half the budget."""
        return min(_MOST_SENDERS, max(1, self.memory_budget // 2 // self.pack_size - 1))

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """What a provider's file says."""
        group = conf[GROUP]
        return cls(
            compression_level=group.compression_level,
            memory_budget=group.memory_budget * _MIB,
            threads=group.threads,
        )
