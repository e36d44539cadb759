"""Benchmark of protecting and restoring whole projects, in comparison with parts of them. No result makes it fail.

``python -m tests.perf.workload`` uses a real OpenStack, and starts it if necessary (as root on Debian). It prints

* the time of protecting and restoring a project with many servers, one of which has a volume, and the time of moving the
  same bytes alone: the volume as a plan of its own, and the root disks by hand;
* the time in which Heat, and direct requests, restore its networks and servers;
* the time of a backup of a volume by a plan, and that of ``cinder backup create``.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cloud.handle import RealCloud
from tests.fixtures.system import System
from tests.perf.real_system import real_system
from tests.scenario.tenant import FLAVOR, SERVER, VOLUME, Tenant, path_of, random_bytes, restore_of, until
from tests.scenario.test_workload import NETWORK, PROJECT, Clients

GOAL = 1.1
#: Seconds of life of a token with which Heat is not used.
_TOO_SHORT_FOR_HEAT = 800


class Bench:
    """A project with servers in one network.

    :param servers: their number
    """

    def __init__(self, cloud: RealCloud, system: System, servers: int) -> None:
        self.cloud, self.system = cloud, system
        self.alice = Tenant(cloud, "alice")
        self.clients = Clients(cloud, self.alice)
        self.clients.delete_everything()
        self.seconds: dict[str, float] = {}
        neutron = self.clients.neutron
        network = neutron.create("networks", {"name": "bench"})["id"]
        subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.5.0/24", "enable_dhcp": False}
        neutron.create("subnets", subnet)
        image = self.alice.image("base", b"".join(random_bytes("base image", 1)))
        self.volume = self.alice.volume("bench")
        cloud.write_volume(self.volume.id, random_bytes(1, 300))
        made = []
        for number in range(servers):
            port = neutron.create("ports", {"name": f"port-{number}", "network_id": network})["id"]
            values: dict[str, Any] = {"nics": [{"port-id": port}]}
            if not number:
                device = {"source_type": "volume", "destination_type": "volume", "boot_index": -1}
                values["block_device_mapping_v2"] = [{**device, "uuid": self.volume.id}]
            made.append(self.clients.nova.servers.create(f"server-{number}", image.id, FLAVOR, **values).id)
        self.servers = [self.clients.settled(server_id).id for server_id in made]

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        print(f"{name:40} {self.seconds[name]:7.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)

    def plan(self, provider: str, kind: str, key: str) -> dict[str, Any]:
        return self.alice.plan(provider, resources=[{"type": kind, "id": key, "name": "bench"}])

    def protect(self, name: str, plan: dict[str, Any]) -> dict[str, Any]:
        with self.timed(name):
            checkpoint = self.alice.protected(plan)
        assert checkpoint["status"] == "available", checkpoint
        return checkpoint

    def images_by_hand(self) -> None:
        """Make an image of each server, one after another, and read it."""
        glance, nova = self.alice.glance, self.clients.nova
        for server_id in self.servers:
            image = nova.servers.create_image(server_id, "bench")
            until(lambda image=image: glance.images.get(image), lambda state: state.status == "active")  # type: ignore[misc]
            for _ in glance.images.data(image, do_checksum=False):
                pass
            glance.images.delete(image)

    def backup_by_hand(self) -> None:
        cinder = self.alice.cinder
        backup = cinder.backups.create(self.volume.id, name="bench", force=True)
        until(lambda: cinder.backups.get(backup.id), lambda state: state.status in ("available", "error"))

    def restore(self, name: str, checkpoint: dict[str, Any], *, token: str | None = None, **asked: Any) -> None:
        call = {"headers": {"X-Auth-Token": token}, "authenticated": False} if token else {}
        with self.timed(name):
            body = {"restore": restore_of(checkpoint, **asked)}
            restore = self.alice.ended(self.alice.call("POST", "/restores", body, **call)["restore"])
        assert restore["status"] == "success", restore
        print(f"{'':40} by {'Heat' if self.clients.stacks() else 'direct requests'}")

    def run(self) -> None:
        system, alice = self.system, self.alice
        checkpoint = self.protect(
            "protect: project", self.plan(system.workload_provider, PROJECT, self.clients.project)
        )
        alone = self.protect("protect: volume alone", self.plan(system.workload_provider, VOLUME, self.volume.id))
        with self.timed("protect: images by hand"):
            self.images_by_hand()
        backup = self.protect("backup: plan", self.plan(system.backup_provider, VOLUME, self.volume.id))
        alice.call("DELETE", path_of(backup))
        alice.settled(backup)
        with self.timed("backup: by hand"):
            self.backup_by_hand()
        for made in alice.cinder.backups.list():
            alice.cinder.backups.delete(made.id)
        until(alice.cinder.backups.list, lambda backups: not backups)

        self.clients.delete_everything()
        self.restore("restore: volume alone", alone)
        self.clients.delete_everything()
        self.restore("restore: project", checkpoint)
        self.clients.delete_everything()
        topology = [f"{SERVER}#{server_id}" for server_id in self.servers] + [f"{NETWORK}#{self.clients.project}"]
        asked: dict[str, Any] = {"resources": topology, "with_children": False}
        self.restore("restore: networks and servers by Heat", checkpoint, **asked)
        self.clients.delete_everything()
        token = self.cloud.brief_token("alice", _TOO_SHORT_FOR_HEAT)
        self.restore("restore: networks and servers directly", checkpoint, token=token, **asked)
        self.clients.delete_everything()

    def ratios(self) -> dict[str, float]:
        """Return how much longer whole things took than their parts."""
        of: Callable[[str], float] = self.seconds.__getitem__
        return {
            "protect": of("protect: project") / (of("protect: volume alone") + of("protect: images by hand")),
            "restore": of("restore: project") / of("restore: volume alone"),
            "Heat": of("restore: networks and servers by Heat") / of("restore: networks and servers directly"),
            "backup": of("backup: plan") / of("backup: by hand"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.workload", description=__doc__)
    parser.add_argument("--servers", type=int, default=12)
    parser.add_argument("--output", type=Path, default=Path("perf-results/workload.json"))
    options = parser.parse_args()
    with real_system(System) as (cloud, system):
        bench = Bench(cloud, system, options.servers)
        bench.run()
    ratios = bench.ratios()
    for name, ratio in ratios.items():
        print(f"{name:10} {ratio:5.2f} times" + (f" (goal: at most {GOAL})" if name == "backup" else ""))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({"seconds": bench.seconds, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
