"""The operator's commands for banks, on a bank in the file system."""

import dataclasses
import errno
import hashlib
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from oslo_config import cfg

from karbor_like.bank.bank import Bank, open_bank
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.clock import SystemClock
from karbor_like.cmd.manage import main
from tests.unit.bank import banks

PROVIDER = "3c1d0000-0000-4000-8000-000000000001"
DATA = random.Random(1).randbytes(300_000) + bytes(3_000_000) + random.Random(2).randbytes(70_000)
FILE = f"""
[provider]
id = {PROVIDER}
name = Files
enabled = true
bank = filesystem
plugin = noop

[file_system_bank_plugin]
file_system_bank_path = {{path}}

[bank]
master_keys = {banks.master_key()}
listing_lag = 0
quarantine = 120
"""


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    """A provider file in a directory of provider files."""
    (tmp_path / "providers.d").mkdir()
    (tmp_path / "bank").mkdir()
    path = tmp_path / "providers.d" / "files.conf"
    path.write_text(FILE.format(path=tmp_path / "bank"))
    (tmp_path / "karbor_like.conf").write_text(f"[database]\nconnection = sqlite:///{tmp_path}/db.sqlite\n")
    return path


@pytest.fixture
def bank(provider: Path) -> Iterator[Bank]:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(provider)])
    bank = open_bank(conf, "filesystem", SystemClock())
    yield bank
    bank.close()


@pytest.fixture
def manage(provider: Path, capsys: pytest.CaptureFixture[str]):
    """A function that runs a command and returns its exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        config = provider.parent.parent / "karbor_like.conf"
        code = main(["--config-file", str(config), "bank", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def first(store: ObjectStore, prefix: str) -> str:
    return store.list(prefix, limit=1)[0].key


def damage(bank: Bank) -> str:
    """Change one byte of a pack."""
    key = first(bank.store, "data/")
    data = bytearray(bank.store.get(key))
    data[len(data) // 2] ^= 1
    bank.store.put(key, data)
    return key


@pytest.mark.parametrize("name", ["Files", PROVIDER, None])
def test_a_provider_is_named_by_name_id_or_file(manage, provider, bank, name):
    banks.protect(bank, "c1", DATA)
    code, out, _ = manage("stats", name or str(provider), "--format", "json")
    assert code == 0
    stats = json.loads(out)[banks.PROJECT]
    assert (stats["checkpoints"], stats["streams"], stats["logical"]) == (1, 1, len(DATA))
    assert stats["stored"] > 370_000
    code, out, _ = manage("stats", name or str(provider))
    assert code == 0
    assert banks.PROJECT in out


def test_an_unknown_provider_is_refused(manage):
    code, _, err = manage("stats", "Tapes")
    assert code == 1
    assert "'Tapes' is neither a file nor the id or name of exactly one provider" in err
    assert f"known providers: Files ({PROVIDER})" in err


def test_an_error_in_the_provider_file_is_reported(manage, provider):
    provider.write_text(provider.read_text().replace("quarantine = 120", "quarantine = soon"))
    code, _, err = manage("stats", str(provider))
    assert code == 1
    assert f"{provider}:" in err
    assert "quarantine" in err


def test_gc_shows_its_plan_and_carries_it_out(manage, bank):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    code, out, _ = manage("gc", "Files", "--dry-run", "--format", "json")
    dry = json.loads(out)
    assert code == 0
    assert dry["dry_run"]
    assert dry["live"]["objects"] == 0
    assert dry["waiting"][0]["reason"]
    code, out, _ = manage("gc", "Files", "--format", "json")
    assert code == 0
    assert not json.loads(out)["dry_run"]
    code, out, _ = manage("gc", "Files", "--dry-run")
    assert "reclaimable now" in out
    assert "not in use, but" in out


@pytest.mark.parametrize("level", ["scrub", "quick", "full"])
def test_verify_finds_no_problems_in_an_undamaged_bank(manage, bank, level):
    banks.protect(bank, "c1", DATA)
    code, out, _ = manage("verify", "Files", "--level", level, "--format", "json")
    assert (code, json.loads(out)["findings"]) == (0, [])
    code, out, _ = manage("verify", "Files", "--level", level)
    assert (code, "0 problems found" in out) == (0, True)


@pytest.mark.parametrize("level", ["scrub", "full"])
def test_verify_names_a_damaged_pack(manage, bank, level):
    banks.protect(bank, "c1", DATA)
    key = damage(bank)
    code, out, _ = manage("verify", "Files", "--level", level, "--format", "json")
    (finding,) = json.loads(out)["findings"]
    assert code == 1
    assert key in finding["problem"]
    assert finding["checkpoint_id"] == (None if level == "scrub" else "c1")
    code, out, _ = manage("verify", "Files", "--level", level)
    assert (code, key in out) == (1, True)


def test_verify_can_be_limited_to_checkpoints(manage, bank):
    banks.protect(bank, "c1", DATA)
    bank.store.delete(first(bank.store, "data/"))
    banks.protect(bank, "c2", DATA)
    assert manage("verify", "Files", "--checkpoint", "c2")[0] == 0
    assert manage("verify", "Files", "--checkpoint", "c2", "--checkpoint", "c1")[0] == 1
    code, _, err = manage("verify", "Files", "--level", "scrub", "--checkpoint", "c2")
    assert (code, "leave --checkpoint out" in err) == (1, True)


def test_export_restores_a_stream_to_a_file(manage, bank, tmp_path):
    banks.protect(bank, "c1", DATA)
    code, out, _ = manage("export", "Files", "c1", "--format", "json")
    assert code == 0
    assert json.loads(out) == [{"resource": banks.VOLUME, "name": "data", "bytes": len(DATA)}]
    target = tmp_path / "volume.raw"
    code, out, _ = manage("export", "Files", "c1", banks.VOLUME, str(target), "--format", "json")
    assert code == 0
    assert target.read_bytes() == DATA
    assert json.loads(out)["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert target.stat().st_blocks * 512 < len(DATA) / 2


def test_export_of_damaged_data_leaves_no_file(manage, bank, tmp_path):
    banks.protect(bank, "c1", DATA)
    key = damage(bank)
    code, _, err = manage("export", "Files", "c1", banks.VOLUME, str(tmp_path / "volume.raw"))
    assert code == 1
    assert key in err
    assert not list(tmp_path.glob("volume.raw*"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("c2",), "no checkpoint c2"),
        (
            ("c1", "OS::Cinder::Volume#other"),
            f"no stream matches OS::Cinder::Volume#other; existing streams: {banks.VOLUME} data",
        ),
        (("c1", banks.VOLUME, "-", "--name", "image"), f"no stream matches {banks.VOLUME} image"),
        (("c3",), "its status is 'protecting'; expected 'available'"),
    ],
)
def test_export_of_an_unknown_stream_names_the_existing_ones(manage, bank, words, complaint):
    banks.protect(bank, "c1", DATA)
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c3", lease)
    code, _, err = manage("export", "Files", *words)
    assert code == 1
    assert complaint in err


def test_reindex_fills_the_database_from_the_bank(manage, bank, provider, capsys):
    record = dataclasses.replace(
        banks.record("7c7e6a2e-0000-4000-8000-000000000001"),
        provider_id=PROVIDER,
        resource_graph="[{}, []]",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(record, lease)
    assert main(["--config-file", str(provider.parent.parent / "karbor_like.conf"), "db", "sync"]) == 0
    capsys.readouterr()
    code, out, err = manage("reindex", "Files", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["added"] == 1
    for info in bank.store.list("indices/by-project/"):
        bank.store.delete(info.key)
    code, out, _ = manage("reindex", "Files", "--format", "json")
    assert (code, json.loads(out)["indexed"]) == (0, 1)
    code, out, _ = manage("reindex", "Files")
    assert (code, "added" in out) == (0, True)

    for prefix in ("checkpoints/", "indices/"):
        for info in bank.store.list(prefix):
            bank.store.delete(info.key)
    code, _, err = manage("reindex", "Files")
    assert (code, "check that it is mounted" in err) == (1, True)
    code, out, err = manage("reindex", "Files", "--force", "--format", "json")
    assert (code, json.loads(out)["deleted"]) == (0, 1), err


def test_reindex_follows_a_bank_that_is_read_only(manage, bank, provider, capsys, monkeypatch):
    for name in ("7c7e6a2e-0000-4000-8000-000000000001", "7c7e6a2e-0000-4000-8000-000000000002"):
        record = dataclasses.replace(banks.record(name), provider_id=PROVIDER, resource_graph="[{}, []]")
        with bank.leases.acquire(holder="one") as lease:
            bank.checkpoints.create(record, lease)
    bank.checkpoints.index.remove(record)
    assert main(["--config-file", str(provider.parent.parent / "karbor_like.conf"), "db", "sync"]) == 0
    capsys.readouterr()

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "rename", refuse)
    code, out, err = manage("reindex", "Files", "--format", "json")
    assert (code, json.loads(out)["indexed"], json.loads(out)["added"]) == (0, 0, 1)
    assert "indices/" in err
    assert "mounted read-only" in err


def test_data_can_be_read_after_a_rotation_of_keys(manage, bank, provider):
    banks.protect(bank, "c1", DATA)
    text = provider.read_text()
    provider.write_text(text.replace("master_keys", f"master_keys = {banks.master_key('m2', 9)}\nmaster_keys"))
    code, out, _ = manage("rotate-keys", "Files", "--remove-old", "--format", "json")
    assert (code, json.loads(out)) == (0, {"wrapped": 1, "already": 0, "removed": 1, "failed": []})
    provider.write_text(text.replace(banks.master_key(), banks.master_key("m2", 9)))
    assert manage("verify", "Files", "--level", "full")[0] == 0
    assert manage("rotate-keys", "Files")[0] == 0
