"""Banks for the tests of this folder: in memory, with blocks and packs so small that a few KiB are a large volume."""

import base64
import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from karbor_like.bank import layout
from karbor_like.bank.bank import Bank
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.format import manifest
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.leases import safety
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clock import ManualClock

BLOCK = 64
SMALL = BankOptions(
    block_size=BLOCK, segment_blocks=16, pack_size=1024, memory_budget=64 * 1024 * 1024, threads=2, reserve=8 * 1024
)
PROJECT = "project-1"
VOLUME = "OS::Cinder::Volume#v1"


def master_key(name: str = "m1", byte: int = 7) -> str:
    """A line of ``[bank] master_keys``."""
    return f"{name}:{base64.b64encode(bytes([byte]) * 32).decode()}"


def make_bank(
    store: ObjectStore | None = None,
    *,
    encrypted: bool = True,
    clock: ManualClock | None = None,
    masters: tuple[str, ...] = (master_key(),),
    margins: safety.Safety = safety.TEST,
    **options: int,
) -> Bank:
    """A bank over *store*; *options* replace those of SMALL."""
    clock = clock or ManualClock()
    store = store or MemoryStore(clock)
    keyring = Keyring(store, ConfiguredMasterKeys(masters)) if encrypted else None
    return Bank(
        store,
        keyring=keyring,
        options=dataclasses.replace(SMALL, **options),
        clock=clock,
        safety=margins,
    )


def record(checkpoint_id: str, project_id: str = PROJECT) -> CheckpointRecord:
    """A checkpoint of one volume."""
    return CheckpointRecord(
        id=checkpoint_id,
        project_id=project_id,
        provider_id="provider-1",
        plan={"id": "plan-1", "name": "p", "provider_id": "provider-1", "resources": []},
        resource_graph="[]",
        extra_info={},
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
    )


def protect(
    bank: Bank,
    checkpoint_id: str,
    data: bytes,
    *,
    bases: tuple[str, ...] = (),
    project_id: str = PROJECT,
    resource_key: str = VOLUME,
    chunk: int = 1000,
) -> ResourceSection:
    """Write *data* as stream ``data`` of a new checkpoint against the same stream of *bases*, and commit it."""
    with bank.leases.acquire(holder="test", bases=bases) as lease:
        bank.checkpoints.create(record(checkpoint_id, project_id), lease)
        section = bank.section(checkpoint_id, project_id, resource_key, lease=lease)
        section.write(
            "data",
            chunks(data, chunk),
            size=len(data),
            bases=[bank.section(base, project_id, resource_key) for base in bases],
        )
        bank.checkpoints.commit(checkpoint_id, lease)
    return bank.section(checkpoint_id, project_id, resource_key)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """*data* in pieces of *size* bytes."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(section: ResourceSection, name: str = "data") -> bytes:
    """All bytes of a stream."""
    with section.read(name) as reader:
        return b"".join(map(bytes, reader))


def make_version_1(bank: Bank, section: ResourceSection, name: str = "data") -> str:
    """Replace the head of a stream by one of version 1, as earlier releases wrote it. Returns the key of the head."""
    (key,) = [key for key in head_keys(bank, section.checkpoint_id) if layout.parse_resource_key(key).name == name]
    sha256 = hashlib.sha256(read(section, name)).hexdigest()
    replace_head(bank, key, format=1, digest=sha256)
    return key


def replace_head(bank: Bank, key: str, **changes: object) -> None:
    """Replace a head by one with other members, sealed with the same key."""
    head = manifest.read_head(bank.store, key, bank.keyring.resolve_key if bank.keyring else None)
    data_key = bank.keyring.get(head.project_id, head.data_key) if bank.keyring and head.data_key else None
    bank.store.put(key, manifest.seal_head(key, dataclasses.replace(head, **changes), data_key))


def head_keys(bank: Bank, checkpoint_id: str) -> list[str]:
    """Keys of all manifest heads of a checkpoint."""
    infos = bank.store.list(layout.resources_prefix(checkpoint_id))
    return [info.key for info in infos if layout.kind_of(info.key) == "manifests"]


def new_section(bank: Bank, checkpoint_id: str, lease: Lease, project_id: str = PROJECT) -> ResourceSection:
    """A section of a new checkpoint, for writing."""
    bank.checkpoints.create(record(checkpoint_id, project_id), lease)
    return bank.section(checkpoint_id, project_id, VOLUME, lease=lease)
