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
_MOST_UPLOADS: Final = 8

OPTS: Final = [
    cfg.BoolOpt(
        "encryption",
        default=True,
        help="""
Whether everything in the bank is encrypted and authenticated: AES-256-GCM, with one key per project, which a master key
wraps. Decide before the first checkpoint: an encrypted bank refuses objects that are not encrypted, and vice versa.
""",
    ),
    cfg.MultiStrOpt(
        "master_keys",
        default=[],
        secret=True,
        help="""
Master keys, one per line: a name, a colon, and 32 bytes in base64 ('openssl rand -base64 32'). The first key wraps the keys
of projects; every key unwraps them. To rotate, put a new key first and run 'karbor-like-manage bank rotate-keys'. Then the
old key can be removed. Keep a copy of the keys elsewhere: nothing in the bank can be read without a master key.
""",
    ),
    cfg.ListOpt(
        "castellan_master_keys",
        default=[],
        help="""
Ids of master keys in a key manager (Barbican, Vault), instead of master_keys. Each key has 32 bytes; the first one wraps the
keys of projects. Section [key_manager] and the section of its backend, in the same file, configure the access.
""",
    ),
    cfg.FloatOpt(
        "key_manager_timeout",
        default=60.0,
        min=0.1,
        help="Seconds to wait for one of castellan_master_keys, including the sign-in at Keystone.",
    ),
    cfg.IntOpt(
        "compression_level",
        default=1,
        min=-7,
        max=19,
        help="""
Compression level of zstd: higher is smaller and slower. Above 3, a backup is rarely faster than the disk that it comes from.
Negative levels suit fast networks. Data that compression does not shrink is stored uncompressed at every level.
""",
    ),
    cfg.IntOpt(
        "memory_budget",
        default=96,
        min=48,
        help="""
Memory in MiB that all streams of this bank in one process may use together. Two thirds are for streams that are written
(blocks being read, packs being filled and uploaded), one third for streams that are read. Streams that do not fit wait: with
96 MiB, two streams are written and two are read concurrently. More memory helps if the bank is far away, or if several
volumes are to be protected concurrently.
""",
    ),
    cfg.IntOpt(
        "threads",
        default=0,
        min=0,
        max=64,
        help="""
Threads per stream that compress and encrypt what is written, or decrypt and check what is read. 0: the number of processors,
but at most 4.
""",
    ),
    cfg.IntOpt(
        "max_bytes_per_second",
        default=0,
        min=0,
        help="""
Bytes per second of data that each process sends to this bank and receives from it, together. A protection service with its
operations is one process, a command of karbor-like-manage another one. The limits of group [protection] in the configuration
of the service apply in addition. 0 is unlimited.
""",
    ),
]


@dataclass(frozen=True)
class BankOptions:
    """How a bank is written. Readers do not depend on these values. Sizes in bytes.

    :param block_size: must be equal for all streams that are to share blocks
    :param segment_blocks: blocks of a segment of a manifest
    :param pack_size: maximum size of a pack
    :param compression_level: of zstd
    :param memory_budget: for all streams of the bank together
    :param threads: threads per stream that compress and encrypt, or decrypt and check; 0: the number of processors
    :param reserve: room that is kept for deletions, the collector and readers in case the bank becomes full. A quarantine
        list of a hundred thousand packs, about 1.5 TB, fits into it
    """

    block_size: int = 128 * 1024
    segment_blocks: int = 8192
    pack_size: int = 16 * _MIB
    compression_level: int = 1
    memory_budget: int = 96 * _MIB
    threads: int = 0
    reserve: int = 4 * _MIB

    def __post_init__(self) -> None:
        least = self.block_size + pack.FRAME_BYTES + pack.ROW_BYTES + segment.MAX_OVERHEAD
        if (
            not 1 <= self.block_size <= manifest.MAX_BLOCK_SIZE
            or not 1 <= self.segment_blocks <= segment.MAX_BLOCKS
            or not least <= self.pack_size <= MAX_OBJECT_BYTES
        ):
            raise exception.ConfigurationError(
                f"bank: block_size {self.block_size}, segment_blocks {self.segment_blocks} or pack_size"
                f" {self.pack_size} is outside the limits of the format"
            )

    @property
    def workers(self) -> int:
        """Number of threads that process one stream."""
        return self.threads or min(4, len(os.sched_getaffinity(0)))

    @property
    def uploads(self) -> int:
        """Number of packs of a stream in flight. Together with the pack being filled, they use half the budget."""
        return min(_MOST_UPLOADS, max(1, self.memory_budget // 2 // self.pack_size - 1))

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Read the options from a provider's file."""
        group = conf[GROUP]
        return cls(
            compression_level=group.compression_level,
            memory_budget=group.memory_budget * _MIB,
            threads=group.threads,
        )
