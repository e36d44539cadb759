"""Opening a bank from the options of a provider's file."""

import inspect
import random
import subprocess
import sys
import textwrap

import pytest
from oslo_config import cfg

from karbor_like import bank as public
from karbor_like import clock, exception
from karbor_like.bank import collector
from karbor_like.bank.bank import open_bank
from karbor_like.bank.objectstore.retry import RetryingStore
from karbor_like.bank.options import BankOptions
from karbor_like.rate import Rate
from tests.unit.bank import banks
from tests.unit.bank.sources import MemoryTarget

MIB = 1024 * 1024


def conf_of(tmp_path, text):
    file = tmp_path / "provider.conf"
    file.write_text(f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}\n\n[bank]\n{text}\n")
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(file)])
    return conf


def open_it(tmp_path, text):
    return open_bank(conf_of(tmp_path, text), "filesystem", clock.SystemClock())


def test_a_bank_from_a_file_keeps_streams(tmp_path):
    text = f"master_keys = {banks.master_key()}\n"
    bank = open_it(tmp_path, text)
    data = b"volume" * 100_000 + bytes(1_000_000)
    banks.protect(bank, "c0", data)
    bank.close()
    again = open_it(tmp_path, f"master_keys = {banks.master_key('new', 9)}\n{text}")
    assert banks.read(again.section("c0", banks.PROJECT, banks.VOLUME)) == data


def test_the_usage_in_the_docstring_works(tmp_path):
    conf = conf_of(tmp_path, f"master_keys = {banks.master_key()}\n")
    _, _, rest = inspect.getdoc(public).partition("::\n")
    names = {**vars(public), "conf": conf, "clock": clock.SystemClock(), "record": banks.record("c0")}
    names["collector"] = collector
    exec(textwrap.dedent(rest.rpartition("\n\n")[0]), names)  # noqa: S102 - our own documentation
    assert (names["data"], names["findings"]) == (b"first second", [])
    assert names["report"].checkpoints == 1


def test_a_bank_without_encryption_needs_no_key(tmp_path):
    bank = open_it(tmp_path, "encryption = false")
    assert banks.read(banks.protect(bank, "c0", b"volume")) == b"volume"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "master_keys"),
        ("master_keys = nonsense", "master_keys, line 1"),
        (f"master_keys = {banks.master_key()}\ncastellan_master_keys = a", "not both"),
    ],
)
def test_mistakes_are_named(tmp_path, text, says):
    with pytest.raises(exception.ConfigurationError, match=says):
        open_it(tmp_path, text)


def test_options_arrive(tmp_path):
    conf = conf_of(tmp_path, "encryption=false\ncompression_level=3\nmemory_budget=64\nthreads=3")
    open_bank(conf, "filesystem", clock.SystemClock())
    options = BankOptions.from_conf(conf)
    assert (options.compression_level, options.memory_budget, options.workers) == (3, 64 * MIB, 3)


def test_a_limit_on_bytes_per_second_holds_for_all_streams_and_can_be_narrowed(tmp_path):
    time = clock.ManualClock()
    bank = open_bank(conf_of(tmp_path, "encryption = false\nmax_bytes_per_second = 1000000"), "filesystem", time)
    data = random.Random(1).randbytes(6_000_000)
    with bank.leases.acquire(holder="test", kind="write") as lease:
        bank.checkpoints.create(banks.record("c0"), lease)
        bank.section("c0", banks.PROJECT, banks.VOLUME, lease=lease).write("data", [data])
        bank.checkpoints.commit("c0", lease)
    began = time.monotonic()
    # One request, of up to 2 MiB, passes before its bytes are paid.
    assert banks.read(bank.section("c0", banks.PROJECT, banks.VOLUME)) == data
    assert time.monotonic() - began >= 3.5
    began = time.monotonic()
    narrow = Rate(lambda: 500_000, time)
    section = bank.section("c0", banks.PROJECT, banks.VOLUME, rates=[narrow])
    assert banks.read(section) == data
    assert time.monotonic() - began >= 7
    # A restore in the order of packs reads one of up to 6 MB at once: the second one waits for it.
    began = time.monotonic()
    for _ in range(2):
        target = MemoryTarget(len(data))
        section.restore("data", target, empty=True)
        assert target.data == data
    assert time.monotonic() - began >= 10


def test_without_a_limit_the_store_is_not_wrapped(tmp_path):
    bank = open_it(tmp_path, "encryption = false")
    assert isinstance(bank.store, RetryingStore)


@pytest.mark.parametrize(("budget", "uploads"), [(48, 1), (96, 2), (192, 5), (4096, 8)])
def test_more_memory_means_more_uploads_in_flight(budget, uploads):
    assert BankOptions(memory_budget=budget * MIB).uploads == uploads


@pytest.mark.parametrize(
    "options",
    [{"block_size": 0}, {"block_size": 5 * MIB}, {"segment_blocks": 0}, {"pack_size": 1000}, {"pack_size": 100 * MIB}],
)
def test_options_outside_of_the_format_are_refused(options):
    with pytest.raises(exception.ConfigurationError, match="limits of the format"):
        BankOptions(**options)


def test_a_bank_is_opened_without_what_only_some_banks_need():
    """Castellan, boto3 and swiftclient take their time to import."""
    code = "import sys, karbor_like.bank.bank; print(sys.modules.keys() & {'castellan', 'boto3', 'swiftclient'})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
