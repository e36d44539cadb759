"""Files with the names and options that the provider files of Karbor use. The plugins and the banks are real."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from karbor_like import exception, service
from karbor_like.clock import SystemClock
from karbor_like.protection.registry import karbor_files, providers

ID = "3c1d0000-0000-4000-8000-000000000005"
VOLUME, IMAGE, SERVER = "OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Server"
NETWORK, SHARE, DATABASE = "OS::Neutron::Network", "OS::Manila::Share", "OS::Trove::Instance"
SWIFT_ACCOUNT = {"auth_url": "http://127.0.0.1:9/identity", "user": "u", "key": "k", "tenant_name": "t"}
LEASE_WINDOWS = {f"lease_{name}_window": "100" for name in ("expire", "renew", "validity")}
SWIFT = {
    "swift_client": {f"swift_{name}": value for name, value in SWIFT_ACCOUNT.items()},
    "swift_bank_plugin": LEASE_WINDOWS,
}
S3 = {
    "s3_client": {"s3_endpoint": "http://127.0.0.1:9", "s3_access_key": "a", "s3_secret_key": "b"},
    "s3_bank_plugin": {**LEASE_WINDOWS, "bank_s3_object_bucket": "objects", "bank_s3_lease_bucket": "lease"},
}
#: Name -> plugins, bank, other sections, and the types that are then protected by a plugin that stores data.
FILES: Mapping[str, tuple[Sequence[str], str, Mapping[str, Mapping[str, str]], set[str]]] = {
    "no-op": (["noop-protection"], "swift", SWIFT, set()),
    "infrastructure": (
        [f"{name}-protection" for name in ("volume", "image", "server", "share", "network", "database")],
        "swift",
        SWIFT,
        {VOLUME, IMAGE, NETWORK, SERVER, SHARE, DATABASE},
    ),
    "snapshots": (["volume-snapshot"], "swift", SWIFT, {VOLUME}),
    "file system": (
        ["volume-protection", "image-protection", "server-protection"],
        "fs",
        {"file_system_bank_plugin": {"file_system_bank_path": "/"}},
        {VOLUME, IMAGE, SERVER},
    ),
    "s3": (["volume-protection", "image-protection", "server-protection"], "s3", S3, {VOLUME, IMAGE, SERVER}),
    "kubernetes": (["volume-protection", "pod-protection"], "swift", SWIFT, {VOLUME, "OS::Kubernetes::Pod"}),
}
KEY = f"[bank]\nmaster_keys = first:{'A' * 43}=\n"


def written(path: Path, name: str) -> Path:
    plugins, bank, sections, _ = FILES[name]
    lines = ["[provider]", f"id={ID}", f"name = {name}", "description = d", "enabled=True"]
    lines += [f"plugin=karbor-{plugin}-plugin" for plugin in plugins] + [f"bank=karbor-{bank}-bank-plugin"]
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{option}={value}" for option, value in options.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_karbor_needs_only_a_master_key(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "infra.conf", name)
    with pytest.raises(exception.ConfigurationError, match=r"master_keys.*new-master-key.*encryption = false"):
        providers.read(path, SystemClock())

    path.write_text(path.read_text() + KEY)
    provider = providers.read(path, SystemClock())

    assert provider is not None
    plugins, _, sections, stored = FILES[name]
    assert {kind for kind, plugin in provider.plugins.items() if not plugin.is_fallback} == stored
    assert (SERVER in provider.plugins) == any(part in plugin for plugin in plugins for part in ("server", "noop"))
    said = "\n".join(provider.remarks)
    for plugin in (f"karbor-{plugin}-plugin" for plugin in plugins):
        assert (plugin in said) == (plugin in karbor_files.PLUGINS)
    for option in (option for options in sections.values() for option in options):
        assert (option in said) == ("lease" in option)
    assert (f"{path}:6: [provider] plugin" in said) == (f"karbor-{plugins[0]}-plugin" in karbor_files.PLUGINS)


def test_what_differs_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "infra.conf", "kubernetes")
    path.write_text(path.read_text().replace("karbor-volume-protection", "karbor-volume-freezer") + KEY)
    conf = service.configure([], files=[])
    conf.set_override("provider_config_dir", str(tmp_path), group="protection")
    registry = providers.Providers(conf, SystemClock())
    with caplog.at_level(logging.WARNING):
        registry.load()
        registry.load()
    assert caplog.text.count("karbor-volume-freezer-plugin stores volumes in the bank, not with Freezer") == 1
    assert "swift_bank_plugin] lease_renew_window: is ignored" in caplog.text


def test_a_file_without_a_plugin_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "infra.conf", "snapshots")
    path.write_text(path.read_text().replace("plugin=karbor-volume-snapshot-plugin\n", "") + KEY)
    with pytest.raises(exception.ConfigurationError, match="plugin is missing: name at least one"):
        providers.read(path, SystemClock())


def test_the_section_for_shares_is_known(tmp_path: Path) -> None:
    path = written(tmp_path / "infra.conf", "infrastructure")
    path.write_text(path.read_text() + "[manila_snapshot_plugin]\npoll_interval = 15\n" + KEY)
    provider = providers.read(path, SystemClock())
    assert provider is not None
    assert "[manila_snapshot_plugin] poll_interval: is ignored" in "\n".join(provider.remarks)
