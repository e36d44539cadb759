"""Finding plugins by name."""

from importlib import metadata
from typing import Any

import pytest
import stevedore.extension
from oslo_config import cfg

from karbor_like import exception
from karbor_like.domain.resource import IMAGE, PROJECT, SERVER, VOLUME
from karbor_like.plugins import loader
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
    """A distribution is installed whose plugins cannot be imported."""
    cache = stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE
    for group in (loader.PROTECTABLES, loader.PROTECTIONS):
        broken = metadata.EntryPoint("broken", "karbor_like_extra.missing:Plugin", group)
        monkeypatch.setitem(cache, group, [broken])


def test_protectables() -> None:
    found = loader.protectables()
    assert {PROJECT, SERVER, VOLUME, IMAGE} <= set(found)
    assert all(plugin.resource_type == kind for kind, plugin in found.items())


def test_protection_by_its_name(conf: cfg.ConfigOpts) -> None:
    plugin = loader.protection("volume-glance", conf, "infra")
    assert isinstance(plugin, VolumeGlanceProtection)
    assert plugin.conf.seconds_per_gib > 0


def test_protection_by_the_path_of_its_class(conf: cfg.ConfigOpts) -> None:
    path = "karbor_like.plugins.noop:NoopProtection"
    assert isinstance(loader.protection(path, conf, "infra"), NoopProtection)


def test_two_providers_have_two_plugins(conf: cfg.ConfigOpts) -> None:
    assert loader.protection("noop", conf, "a") is not loader.protection("noop", conf, "a")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no-such-plugin", "there is no plugin 'no-such-plugin'; installed: .*image, .*noop, volume-glance"),
        ("", "there is no plugin ''"),
        ("karbor_like.nowhere:Plugin", "plugin 'karbor_like.nowhere:Plugin' cannot be loaded"),
        ("karbor_like.plugins.loader:nothing", "cannot be loaded"),
        ("karbor_like.plugins.loader:protection", "is not a ProtectionPlugin"),
    ],
)
def test_mistakes_name_plugin_and_provider(conf: cfg.ConfigOpts, name: str, told: str) -> None:
    with pytest.raises(exception.ConfigurationError, match=f"provider infra: .*{told}"):
        loader.protection(name, conf, "infra")


def test_plugin_that_does_not_import(conf: cfg.ConfigOpts, broken: None) -> None:
    told = "provider infra: plugin 'broken' cannot be loaded: .*karbor_like_extra"
    with pytest.raises(exception.ConfigurationError, match=told):
        loader.protection("broken", conf, "infra")
    with pytest.raises(exception.ConfigurationError, match="protectable plugin 'broken' cannot be loaded"):
        loader.protectables()


def test_option_with_a_wrong_value(tmp_path: Any) -> None:
    path = tmp_path / "infra.conf"
    path.write_text("[volume_glance_plugin]\nseconds_per_gib = many\n")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(path)])
    with pytest.raises(
        exception.ConfigurationError, match=r"provider infra: plugin 'volume-glance': .*seconds_per_gib"
    ):
        loader.protection("volume-glance", conf, "infra")


def test_plugins_of_other_people(conf: cfg.ConfigOpts) -> None:
    class Silent(ProtectionPlugin):
        pass

    assert Silent(conf).operations == {}


@pytest.mark.parametrize(
    "name", ["karbor-volume-glance-plugin", "karbor-image-protection-plugin", "karbor-noop-protection-plugin"]
)
def test_names_that_older_provider_files_use(conf: cfg.ConfigOpts, name: str) -> None:
    assert loader.protection(name, conf, "infra").operations
