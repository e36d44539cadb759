"""The direct plugin for volumes: the contract suites, and what is specific to it."""

from typing import Any

import pytest
from oslo_config import cfg

from karbor_like.clients.factory import ClientFactory
from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.direct import Meter, SandboxBackend, SmallDirectVolumes
from tests.contract.plugins.test_volume_glance import SIZE, VolumeSubject


def make_plugin(kind: type[SmallDirectVolumes] = SmallDirectVolumes, **options: Any) -> SmallDirectVolumes:
    """Return a plugin with the backend of the sandbox for all hosts, and *options*."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    conf.register_opts(kind.options, group=kind.group)
    for name, value in {"backends": ["*:sandbox"], **options}.items():
        conf.set_override(
            name,
            value,
            kind.group,
        )
    return kind(conf)


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """What the readers and writers of the test do."""
    monkeypatch.setattr(SandboxBackend, "meter", Meter())
    return SandboxBackend.meter


@pytest.fixture
def plugin() -> ProtectionPlugin:
    return make_plugin()


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory, plugin: ProtectionPlugin) -> VolumeSubject:
    made = VolumeSubject(cloud, factory.for_context(sandbox.context_of(cloud)))
    made.plugin = plugin
    return made


class TestVolumeDirect(sandbox.CopyContract, sandbox.ProtectionContract):
    size = SIZE * sandbox.SMALL_GIB
