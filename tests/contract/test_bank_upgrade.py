"""Banks that an earlier release wrote: they are listed, verified, read, built on and collected."""

import base64
import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from karbor_like.bank import Bank, open_bank, verify
from karbor_like.bank.collector import Collector
from karbor_like.bank.leases import safety
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock, SystemClock
from tests.unit.bank import banks

DATA = Path(__file__).parents[1] / "data"
MASTER_KEY = "test:" + base64.b64encode(bytes(range(32))).decode()

CHECKPOINT = "5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01"
PROJECT = "b7a1c2d3e4f5460718293a4b5c6d7e8f"
VOLUME = "OS::Cinder::Volume#v1"
SIZE = 328680
DIGEST = "574e766c170c27a97f788e3b793bfb8469ec4a1e0df760c3162c069fdb3e2c14"


@pytest.fixture(params=["encrypted", "plain"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["", "-2"], ids=["version 1", "version 2"])
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def bank(kind: str, version: str, tmp_path: Path) -> Iterator[Bank]:
    """The old bank, opened with the options that an operator would set."""
    with tarfile.open(DATA / f"bank-{kind}{version}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    provider = tmp_path / "provider.conf"
    provider.write_text(
        f"[bank]\nencryption = {kind == 'encrypted'}\nmaster_keys = {MASTER_KEY}\n"
        f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}\nbank_object_container = {kind}\n"
    )
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(provider)], default_config_dirs=[])
    bank = open_bank(conf, "filesystem", SystemClock())
    yield bank
    bank.close()


def copy_objects(source: ObjectStore, target: ObjectStore) -> None:
    for info in listing.objects(source, ""):
        target.put(info.key, source.get(info.key))


def read_digest(bank: Bank, checkpoint_id: str) -> str:
    with bank.section(checkpoint_id, PROJECT, VOLUME).read("data") as reader:
        digest = hashlib.sha256()
        for chunk in reader:
            digest.update(chunk)
    return digest.hexdigest()


def test_the_checkpoint_is_listed(bank: Bank) -> None:
    (entry,) = bank.checkpoints.index.list()
    assert entry.id == CHECKPOINT
    record = bank.checkpoints.get(CHECKPOINT)
    assert (record.status, record.project_id, record.plan["name"]) == ("available", PROJECT, "nightly")


def test_it_verifies(bank: Bank) -> None:
    assert list(verify.scrub(bank)) == []
    assert list(verify.quick(bank)) == []
    assert list(verify.full(bank)) == []
    section = bank.section(CHECKPOINT, PROJECT, VOLUME)
    for name in ("metadata", "data"):
        section.verify(name, "quick")
        section.verify(name, "full")


def test_documents_and_streams_are_read(bank: Bank, version: str) -> None:
    section = bank.section(CHECKPOINT, PROJECT, VOLUME)
    assert section.names() == ["data", "metadata"]
    assert section.get("metadata") == {"size": 1, "name": "disk \N{LATIN SMALL LETTER U WITH DIAERESIS}"}
    stats = section.stats("data")
    assert (stats.logical, stats.sha256) == (SIZE, None if version else DIGEST)
    assert read_digest(bank, CHECKPOINT) == DIGEST


def protect_again(bank: Bank, checkpoint_id: str) -> int:
    """Store the old stream as a second checkpoint, with the first as its base. Returns the bytes that were new."""
    base = bank.section(CHECKPOINT, PROJECT, VOLUME)
    with bank.leases.acquire(holder="test", bases=[CHECKPOINT]) as lease, base.read("data") as reader:
        bank.checkpoints.create(banks.record(checkpoint_id, PROJECT), lease)
        section = bank.section(checkpoint_id, PROJECT, VOLUME, lease=lease)
        stats = section.write("data", reader, size=SIZE, bases=[base])
        bank.checkpoints.commit(checkpoint_id, lease)
    return stats.new


def old_options() -> dict[str, int]:
    """The block sizes with which the old bank was written: blocks are shared only between equal ones."""
    return {"block_size": 16384, "segment_blocks": 16, "pack_size": 65536}


@pytest.fixture
def collected(bank: Bank, kind: str) -> Bank:
    """A copy of the old bank under a clock that the test moves."""
    clock = ManualClock()
    store = MemoryStore(clock)
    copy_objects(bank.store, store)
    encrypted = kind == "encrypted"
    return banks.make_bank(store, encrypted=encrypted, clock=clock, masters=(MASTER_KEY,), **old_options())


def test_a_second_checkpoint_is_stored_against_it(collected: Bank) -> None:
    assert protect_again(collected, "second") == 0
    assert read_digest(collected, "second") == DIGEST
    collected.checkpoints.delete(CHECKPOINT)
    assert list(verify.full(collected, ["second"])) == []


def test_other_block_sizes_store_it_again(bank: Bank) -> None:
    assert protect_again(bank, "second") > 0
    assert read_digest(bank, "second") == DIGEST


def test_garbage_is_collected_and_the_checkpoint_stays(collected: Bank) -> None:
    packs = [info.key for info in collected.store.list("data/")]
    with collected.leases.acquire(holder="test") as lease:
        section = banks.new_section(collected, "abandoned", lease, PROJECT)
        section.write("data", [bytes(range(256)) * 1024])
    collected.checkpoints.delete("abandoned")
    assert len(collected.store.list("data/")) > len(packs)
    age = safety.TEST.lease_duration + safety.TEST.quarantine + safety.TEST.grace.total_seconds() + 1
    assert isinstance(collected.clock, ManualClock)
    for _ in range(4):
        collected.clock.advance(age)
        Collector(collected).run()
    assert [info.key for info in collected.store.list("data/")] == packs
    assert list(verify.full(collected)) == []
    assert read_digest(collected, CHECKPOINT) == DIGEST
