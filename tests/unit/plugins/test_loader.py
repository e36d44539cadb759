"""Loading plugins."""

from importlib import metadata
from typing import Any

import pytest
import stevedore.extension
from oslo_config import cfg

from karbor_like import exception
from karbor_like.domain.resource import IMAGE, PROJECT, SERVER, VOLUME
from karbor_like.plugins import loader
from karbor_like.plugins.cinder.protectable import VolumeProtectable
from karbor_like.plugins.cinder.volume_glance import VolumeGlanceProtection
from karbor_like.plugins.noop import NoopProtection
from karbor_like.plugins.protection import ProtectionPlugin


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    return conf


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution whose plugins cannot be imported."""
    cache = stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE
    for group in (loader.PROTECTABLES, loader.PROTECTIONS):
        broken = metadata.EntryPoint("broken", "karbor_like_extra.missing:Plugin", group)
        monkeypatch.setitem(cache, group, [broken])


def test_protectables() -> None:
    found = loader.protectables()
    assert {PROJECT, SERVER, VOLUME, IMAGE} <= set(found)
    assert all(plugin.resource_type == kind for kind, plugin in found.items())


def test_protection_by_name(conf: cfg.ConfigOpts) -> None:
    plugin = loader.load_protection("volume-glance", conf, "infra")
    assert isinstance(plugin, VolumeGlanceProtection)
    assert plugin.conf.seconds_per_gib > 0


def test_protection_by_path_of_the_class(conf: cfg.ConfigOpts) -> None:
    path = "karbor_like.plugins.noop:NoopProtection"
    assert isinstance(loader.load_protection(path, conf, "infra"), NoopProtection)


def test_two_providers_have_two_plugins(conf: cfg.ConfigOpts) -> None:
    assert loader.load_protection("noop", conf, "a") is not loader.load_protection("noop", conf, "a")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no-such-plugin", "there is no plugin 'no-such-plugin'; installed: .*image, .*noop, .*volume-glance"),
        ("", "there is no plugin ''"),
        ("karbor_like.nowhere:Plugin", "plugin 'karbor_like.nowhere:Plugin' cannot be loaded"),
        ("karbor_like.plugins.loader:nothing", "cannot be loaded"),
        ("karbor_like.plugins.loader:load_protection", "is not a ProtectionPlugin"),
    ],
)
def test_errors_name_plugin_and_provider(conf: cfg.ConfigOpts, name: str, told: str) -> None:
    with pytest.raises(exception.ConfigurationError, match=f"provider infra: .*{told}"):
        loader.load_protection(name, conf, "infra")


def test_plugin_that_cannot_be_imported(conf: cfg.ConfigOpts, broken: None) -> None:
    told = "provider infra: plugin 'broken' cannot be loaded: .*karbor_like_extra"
    with pytest.raises(exception.ConfigurationError, match=told):
        loader.load_protection("broken", conf, "infra")
    with pytest.raises(exception.ConfigurationError, match="protectable plugin 'broken' cannot be loaded"):
        loader.protectables()


def test_wrong_value_of_an_option(tmp_path: Any) -> None:
    path = tmp_path / "infra.conf"
    path.write_text("[volume_glance_plugin]\nseconds_per_gib = many\n")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(path)])
    with pytest.raises(
        exception.ConfigurationError, match=r"provider infra: plugin 'volume-glance': .*seconds_per_gib"
    ):
        loader.load_protection("volume-glance", conf, "infra")


class OldVolumes(VolumeProtectable):
    """Written for another version of the contract."""

    api_version = 99
    resource_type = "Old::Volume"


class Undeclared(ProtectionPlugin):
    """Declares no version."""


@pytest.mark.parametrize(("path", "told"), [("Undeclared", "no version"), ("Later", "version 2")])
def test_protection_for_another_version_is_refused(conf: cfg.ConfigOpts, path: str, told: str) -> None:
    expected = rf"provider infra: plugin '.*:{path}' is refused: it declares {told} .*this service supports version 1"
    with pytest.raises(exception.ConfigurationError, match=expected):
        loader.load_protection(f"{__name__}:{path}", conf, "infra")


class Later(ProtectionPlugin):
    """Written for the next version."""

    api_version = 2


def test_protectable_for_another_version_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE
    volume, old = VolumeProtectable, OldVolumes
    entry_points = [
        metadata.EntryPoint(name, f"{plugin.__module__}:{plugin.__qualname__}", loader.PROTECTABLES)
        for name, plugin in (("volume", volume), ("old", old))
    ]
    monkeypatch.setitem(cache, loader.PROTECTABLES, entry_points)
    assert list(loader.protectables()) == [VOLUME]
    assert "protectable plugin 'old' is left out: it declares version 99" in caplog.text
    assert "supports version 1" in caplog.text


def test_plugin_without_operations(conf: cfg.ConfigOpts) -> None:
    class Empty(ProtectionPlugin):
        pass

    assert Empty(conf).operations == {}


@pytest.mark.parametrize(
    "name",
    [
        f"karbor-{kind}-plugin"
        for kind in ("volume-glance", "volume-protection", "volume-snapshot", "image-protection", "noop-protection")
    ],
)
def test_names_in_older_provider_files(conf: cfg.ConfigOpts, name: str) -> None:
    assert loader.load_protection(name, conf, "infra").operations
