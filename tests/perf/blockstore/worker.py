"""One measured job of the block store, in its own process: ``python -m tests.perf.blockstore.worker JOB JSON``.

It writes its measurements and its peak memory to the file ``report`` of its arguments.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor_like.bank import Extent
from karbor_like.bank.bank import Bank, open_bank
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.leases import safety
from karbor_like.bank.objectstore.base import Buffer, ObjectStore
from karbor_like.bank.objectstore.filesystem import FilesystemStore
from karbor_like.bank.options import BankOptions
from karbor_like.clock import SystemClock
from tests.perf.blockstore import volumes

_PROJECT = "benchmark"
_VOLUME = "OS::Cinder::Volume#benchmark"
_MASTER_KEY = "benchmark:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
_CHUNK = 2 << 20


class SinkStore(FilesystemStore):
    """A store that keeps only the size of a pack, in a sparse file, so that streams can be larger than the disk."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._root = Path(path, "karbor")
        self.packs = 0
        self.pack_bytes = 0

    def put(self, key: str, data: Buffer | Sequence[bytes | memoryview]) -> None:
        if "/packs/" not in key:
            return super().put(key, data)
        size = len(data) if isinstance(data, Buffer) else sum(map(len, data))
        super().put(key, b"")
        os.truncate(self._root / key, size)
        self.packs += 1
        self.pack_bytes += size
        return None


def configured_bank(directory: str) -> Bank:
    """Open an encrypted bank in *directory* with the options of an operator."""
    file = Path(directory, "provider.conf")
    file.write_text(
        f"[file_system_bank_plugin]\nfile_system_bank_path = {directory}\n[bank]\nmaster_keys = {_MASTER_KEY}\n"
    )
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    return open_bank(conf, "filesystem", SystemClock())


def bank_over(store: ObjectStore, options: BankOptions) -> Bank:
    """Open an encrypted bank with options that operators cannot set."""
    keyring = Keyring(store, ConfiguredMasterKeys([_MASTER_KEY]))
    return Bank(store, keyring=keyring, options=options, clock=SystemClock(), safety=safety.DEFAULT)


def protect(
    bank: Bank, checkpoint_id: str, stream: Iterable[bytes], size: int, bases: Sequence[str] = ()
) -> StreamStats:
    """Write a stream to a new checkpoint, and commit it."""
    with _new_section(bank, checkpoint_id, bases) as section:
        based_on = [bank.section(base, _PROJECT, _VOLUME) for base in bases]
        return section.write("data", stream, size=size, bases=based_on)


@contextlib.contextmanager
def _new_section(bank: Bank, checkpoint_id: str, bases: Sequence[str]) -> Iterator[ResourceSection]:
    """Create a checkpoint, and commit it at the end."""
    with bank.leases.acquire(holder="benchmark", bases=bases) as lease:
        record = CheckpointRecord(
            id=checkpoint_id,
            project_id=_PROJECT,
            provider_id="benchmark",
            plan={"id": "benchmark", "name": "benchmark", "provider_id": "benchmark", "resources": []},
            resource_graph="[]",
            extra_info={},
            created_at=datetime.now(UTC),
        )
        bank.checkpoints.create(record, lease)
        yield bank.section(checkpoint_id, _PROJECT, _VOLUME, lease=lease)
        bank.checkpoints.commit(checkpoint_id, lease)


def backup(directory: str, volume: str, checkpoint: str, bases: Sequence[str]) -> dict[str, Any]:
    """Store a file."""
    with contextlib.closing(configured_bank(directory)) as bank, open(volume, "rb") as file:
        stats = protect(bank, checkpoint, iter(lambda: file.read(_CHUNK), b""), Path(volume).stat().st_size, bases)
    return {"new": stats.new, "digest": stats.digest}


class _File:
    """A file as source and target with random access.

    :param descriptor: open for reading or writing
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pool = ThreadPoolExecutor(4)
        self.size = os.fstat(descriptor).st_size
        self.bytes_read = 0

    def allocated(self) -> Iterable[Extent]:
        return [Extent(0, self.size)]

    def read(self, offset: int, length: int) -> Future[bytes]:
        self.bytes_read += length
        return self._pool.submit(os.pread, self._descriptor, length, offset)

    def confirm(self) -> None:
        pass

    def write(self, offset: int, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            offset, data = offset + written, data[written:]


def backup_extents(directory: str, volume: str, checkpoint: str, base: str, changed: str) -> dict[str, Any]:
    """Store a file of which only the extents in the JSON file *changed* differ from the checkpoint *base*."""
    with contextlib.closing(configured_bank(directory)) as bank, open(volume, "rb") as file:
        source = _File(file.fileno())
        extents = [Extent(offset, length) for offset, length in json.loads(Path(changed).read_text())]
        with _new_section(bank, checkpoint, [base]) as section:
            stats = section.write_extents("data", source, base=bank.section(base, _PROJECT, _VOLUME), changed=extents)
    return {"new": stats.new, "bytes_read": source.bytes_read}


def restore_extents(directory: str, checkpoint: str) -> dict[str, Any]:
    """Write a stream into the file that standard output is, in the order of packs."""
    with (
        contextlib.closing(configured_bank(directory)) as bank,
        bank.leases.acquire(holder="benchmark", bases=[checkpoint], kind="read"),
    ):
        bank.section(checkpoint, _PROJECT, _VOLUME).restore("data", _File(sys.stdout.fileno()))
    return {}


def restore(directory: str, checkpoint: str) -> dict[str, Any]:
    """Write a stream to standard output."""
    with contextlib.closing(configured_bank(directory)) as bank:
        lease = bank.leases.acquire(holder="benchmark", bases=[checkpoint], kind="read")
        with lease, bank.section(checkpoint, _PROJECT, _VOLUME).read("data") as reader:
            for chunk in reader:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return {}


def stream(directory: str, size: int, written: int | None) -> dict[str, Any]:
    """Store a generated stream: like the volumes, or zero except for *written* bytes."""
    store = SinkStore(directory)
    source = volumes.long_stream(size) if written is None else volumes.sparse_stream(size, written)
    with contextlib.closing(bank_over(store, BankOptions())) as bank:
        stats = protect(bank, "stream", source, size)
        objects = list(bank.store.list("checkpoints/", limit=100_000))
    return {
        "new": stats.new,
        "packs": store.packs,
        "pack_bytes": store.pack_bytes,
        "objects": store.packs + len(objects),
        "manifest_bytes": sum(info.size for info in objects if "/segments/" in info.key or "/manifests/" in info.key),
    }


def read_stream(size: int, written: int) -> dict[str, Any]:
    """Only compare every mebibyte of the sparse stream with zeros: the minimum cost of reading all of it."""
    zeros = bytes(volumes.MIB)
    return {"zeros": sum(zeros == chunk for chunk in volumes.sparse_stream(size, written))}


#: Blocks and packs of a hundredth of their usual size, so that a million blocks fit into a test.
SMALL_BLOCK = 1024
_SMALL = BankOptions(block_size=SMALL_BLOCK, segment_blocks=8192, pack_size=160 * 1024)


def fill(directory: str, checkpoint: str, blocks: int) -> dict[str, Any]:
    """Write a checkpoint of *blocks* unique blocks, in packs of the usual number of blocks."""

    def source() -> Iterator[bytes]:
        content = volumes.noise(checkpoint, SMALL_BLOCK * 1024)
        for number in range(blocks // 1024):
            yield b"".join(
                number.to_bytes(8, "big") + content[at + 8 : at + SMALL_BLOCK]
                for at in range(0, len(content), SMALL_BLOCK)
            )

    with contextlib.closing(bank_over(FilesystemStore(directory), _SMALL)) as bank:
        protect(bank, checkpoint, source(), blocks // 1024 * 1024 * SMALL_BLOCK)
    return {}


def collect(directory: str) -> dict[str, Any]:
    """Collect the garbage of a bank, not in a dry run."""
    from karbor_like.bank.collector.gc import Collector  # here, because other jobs should not import what it needs

    with contextlib.closing(bank_over(FilesystemStore(directory), _SMALL)) as bank:
        report = Collector(bank).run()
    return {"packs": report.live.objects, "manifests": report.manifests, "reclaimed": report.reclaimed.objects}


def peak() -> int:
    """Return the peak of resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024


JOBS = {
    job.__name__: job for job in (backup, backup_extents, restore, restore_extents, stream, read_stream, fill, collect)
}


def main() -> None:
    job, arguments = sys.argv[1], json.loads(sys.argv[2])
    report = Path(arguments.pop("report"))
    started, cpu = time.monotonic(), time.process_time()
    found = JOBS[job](**arguments)
    found |= {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu, "peak": peak()}
    report.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
