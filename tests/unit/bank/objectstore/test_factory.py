import sys
from pathlib import Path

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank.objectstore import factory
from karbor_like.clock import ManualClock


def provider(path: Path, text: str) -> cfg.ConfigOpts:
    file = path / "provider.conf"
    file.write_text(text)
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    return conf


def test_the_driver_in_the_file_is_opened(tmp_path: Path) -> None:
    conf = provider(tmp_path, f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}\n")
    store = factory.open_store(conf, "filesystem", ManualClock())
    store.put("a/b", b"x")
    assert (tmp_path / "karbor/a/b").read_bytes() == b"x"
    store.close()


def test_a_store_may_be_opened_twice(tmp_path: Path) -> None:
    conf = provider(tmp_path, f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}\n")
    factory.open_store(conf, "filesystem", ManualClock()).put("a", b"x")
    assert factory.open_store(conf, "filesystem", ManualClock()).get("a") == b"x"


def test_calls_are_retried(tmp_path: Path) -> None:
    clock = ManualClock()
    conf = provider(tmp_path, "[file_system_bank_plugin]\nfile_system_bank_path = /not/mounted\n")
    store = factory.open_store(conf, "filesystem", clock)
    with pytest.raises(exception.Unavailable):
        store.get("a")
    assert clock.monotonic() > 15


def test_an_unknown_driver_is_reported_with_the_installed_ones(tmp_path: Path) -> None:
    installed = "filesystem, karbor-fs-bank-plugin, karbor-s3-bank-plugin, karbor-swift-bank-plugin, s3, swift"
    with pytest.raises(exception.ConfigurationError, match=f"bank 'tape': is not installed; installed are {installed}"):
        factory.open_store(provider(tmp_path, ""), "tape", ManualClock())


@pytest.mark.parametrize("name", ["s3", "karbor-s3-bank-plugin"])
def test_a_driver_that_cannot_be_loaded_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "karbor_like.bank.objectstore.s3", None)
    with pytest.raises(exception.ConfigurationError, match=rf"'{name}': cannot be loaded.*karbor_like\[s3\]"):
        factory.open_store(provider(tmp_path, ""), name, ManualClock())


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(exception.ConfigurationError, match="file_system_bank_path"):
        factory.open_store(provider(tmp_path, ""), "filesystem", ManualClock())
