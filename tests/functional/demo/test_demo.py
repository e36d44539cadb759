"""Both demonstrations, on the sandbox."""

from pathlib import Path

import pytest

from karbor_like.cmd.demo import demonstration
from karbor_like.cmd.demo.tenant import Tenant
from karbor_like.cmd.demo.volume import OneVolume
from karbor_like.cmd.demo.workload import Workload
from tests.fixtures.cloud import Backing, SandboxCloud
from tests.fixtures.system import System


@pytest.mark.parametrize("kind", [Workload, OneVolume])
def test_everything_is_as_it_was(tmp_path: Path, kind: type[Workload] | type[OneVolume]) -> None:
    with SandboxCloud(tmp_path / "sandbox") as cloud:
        cloud.settings(gib=cloud.gib)
        system = System(cloud, Backing(f"sqlite:///{tmp_path}/database", "fake://"), tmp_path / "system")
        try:
            system.up()
            alice = Tenant(cloud, system.workload_provider)
            assert demonstration.run(alice, kind(alice, mebibytes=2))
        finally:
            system.stop()
