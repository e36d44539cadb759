"""Servers: Nova with its fake hypervisor. No virtual machine runs, and nothing writes to attached volumes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from keystoneauth1.adapter import Adapter

from tests.cloud.component import DRIVERS, Site
from tests.cloud.ini import Sections, write_ini
from tests.cloud.net import HOST
from tests.cloud.processes import Daemon

PROCESSES = ("nova-conductor", "nova-scheduler", "nova-compute")

#: Name, memory (MiB), processors and disk (GiB) by id: the flavors of the sandbox.
_FLAVORS = {"1": ("m1.tiny", 512, 1, 1), "2": ("m1.small", 2048, 1, 20), "3": ("m1.medium", 4096, 2, 40)}
# Nova inserts the parts of the URLs in its configuration, which therefore may change.
_SERVER = "{{scheme}}://{{username}}:{{password}}@{{hostname}}:{{port}}/{}"
_CELL1 = ("--database_connection", _SERVER.format("{path}?{query}"), "--transport-url", _SERVER.format(""))
_QUOTAS = ("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members")


class Nova:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.layout.etc("nova") / "nova.conf"

    def prepare(self) -> None:
        site = self._site
        write_ini(self._config, self._sections())
        manage = [site.program("nova-manage"), "--config-file", str(self._config)]
        site.sync("nova_api", [*manage, "api_db", "sync"])
        site.sync(
            "nova_cell0",
            [*manage, "cell_v2", "map_cell0", "--database_connection", _SERVER.format("nova_cell0?{query}")],
            [*manage, "cell_v2", "create_cell", "--name=cell1", *_CELL1],
            once="",
        )
        site.sync("nova", [*manage, "db", "sync"])

    def _sections(self) -> Sections:
        site = self._site
        return {
            "DEFAULT": {
                "transport_url": site.rabbitmq.transport_url(),
                "host": "cloud",
                "my_ip": HOST,
                "state_path": site.layout.data("nova"),
                "compute_driver": "hypervisor.ImagingDriver",
                # Without a delay, the scheduler finds the hypervisor at once.
                "periodic_fuzzy_delay": 0,
                # No agent plugs ports in or reports it.
                "vif_plugging_is_fatal": False,
                "vif_plugging_timeout": 0,
            },
            "api_database": site.database("nova_api"),
            "database": site.database("nova"),
            "oslo_concurrency": {"lock_path": site.layout.data("nova") / "lock"},
            "oslo_messaging_rabbit": site.queues(),
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 1},
            "quota": dict.fromkeys(_QUOTAS, -1),
            "glance": site.credentials("nova"),
            "neutron": site.credentials("nova"),
            "placement": site.credentials("nova"),
            "cinder": site.credentials("nova"),
            "service_user": {"send_service_user_token": True, **site.credentials("nova")},
            "vnc": {"enabled": False},
            "keystone_authtoken": site.authtoken("nova"),
        }

    def daemons(self) -> Sequence[Daemon]:
        site = self._site
        env = {"OS_NOVA_CONFIG_FILES": f"{site.layout.venv}/etc/nova/api-paste.ini;{self._config}"}
        application = "nova.wsgi.osapi_compute:application"
        api = site.wsgi("nova-api", application, self._config, path="/", workers=1, env=env)
        scripts = {"nova-compute": DRIVERS / "compute.py"}
        return [api, *(site.worker(name, self._config, script=scripts.get(name)) for name in PROCESSES)]

    @staticmethod
    def is_ready(compute: Adapter, placement: Adapter, since: float) -> bool:
        """Return whether Nova can schedule a server.

        Its processes must have reported, the hypervisor must belong to a cell, and Placement must have its inventory.

        :param since: seconds since 1970; earlier reports come from earlier processes
        """
        services = compute.get("/os-services").json()["services"]
        if not set(PROCESSES) <= {service["binary"] for service in services if _reported(service) >= int(since)}:
            return False
        if not compute.get("/os-hypervisors").json()["hypervisors"]:
            return False
        found = placement.get("/resource_providers", params={"resources": "VCPU:1"}, microversion="1.4")
        return bool(found.json()["resource_providers"])

    @staticmethod
    def furnish(compute: Adapter, prefix: str) -> None:
        """Create the flavors that are missing.

        :param prefix: of their ids
        """
        present = {flavor["id"] for flavor in compute.get("/flavors").json()["flavors"]}
        for number, (name, ram, vcpus, disk) in _FLAVORS.items():
            key = prefix + number
            if key not in present:
                body = {"id": key, "name": name, "ram": ram, "vcpus": vcpus, "disk": disk}
                compute.post("/flavors", json={"flavor": body})


def _reported(service: Mapping[str, Any]) -> float:
    """Return when a service last reported its state, in whole seconds since 1970, or 0 if it never did."""
    time = service["updated_at"]
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() if time else 0
