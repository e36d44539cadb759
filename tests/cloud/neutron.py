"""Networks: Neutron with ML2. There is no switch: a mechanism driver of our own binds every port at once.

No agents run, and therefore neither do Neutron's processes that serve agents.
"""

from collections.abc import Sequence

from keystoneauth1.adapter import Adapter

from tests.cloud.component import DRIVERS, Site
from tests.cloud.ini import write_ini
from tests.cloud.processes import Daemon

EXTERNAL_NETWORK = "public"
_PHYSICAL_NETWORK = "outside"
_QUOTAS = (
    *("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule", "rbac_policy"),
    "trunk",
)


class Neutron:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.layout.etc("neutron") / "neutron.conf"

    def prepare(self) -> None:
        site = self._site
        write_ini(
            self._config,
            {
                "DEFAULT": {
                    "transport_url": site.rabbitmq.transport_url(),
                    "core_plugin": "ml2",
                    "service_plugins": "router,trunk,qos,port_forwarding",
                    "state_path": site.layout.data("neutron"),
                    "api_paste_config": site.layout.venv / "etc" / "neutron" / "api-paste.ini",
                    "dhcp_agent_notification": False,
                },
                "ml2": {
                    "type_drivers": "flat,vxlan",
                    "tenant_network_types": "vxlan",
                    # Trunks need a driver that supports them. Ports are bound by the first driver.
                    "mechanism_drivers": "every_host,openvswitch",
                    "extension_drivers": "port_security,qos,dns",
                },
                "ml2_type_flat": {"flat_networks": _PHYSICAL_NETWORK},
                "ml2_type_vxlan": {"vni_ranges": "1:10000"},
                "quotas": {f"quota_{name}": 1000 for name in _QUOTAS},
                "database": site.database("neutron"),
                "oslo_concurrency": {"lock_path": site.layout.data("neutron") / "lock"},
                "oslo_messaging_rabbit": site.queues(),
                "nova": site.credentials("neutron"),
                "keystone_authtoken": site.authtoken("neutron"),
            },
        )
        manage = [site.program("neutron-db-manage"), "--config-file", str(self._config)]
        site.sync("neutron", [*manage, "upgrade", "heads"])

    def daemons(self) -> Sequence[Daemon]:
        env = {
            "OS_NEUTRON_CONFIG_DIR": str(self._config.parent),
            "OS_NEUTRON_CONFIG_FILES": self._config.name,
            # It has the entry point of our mechanism driver.
            "PYTHONPATH": str(DRIVERS),
        }
        path = "/healthcheck"
        return [
            self._site.wsgi("neutron-api", "neutron.wsgi.api:application", self._config, path=path, workers=1, env=env)
        ]

    @staticmethod
    def furnish(network: Adapter) -> None:
        """Create the external network and its subnet if they are missing."""
        name = EXTERNAL_NETWORK
        if network.get("/v2.0/networks", params={"name": name}).json()["networks"]:
            return
        body = {
            "name": name,
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": _PHYSICAL_NETWORK,
        }
        created = network.post("/v2.0/networks", json={"network": body}).json()["network"]
        # A network for documentation (RFC 5737). Nothing is reachable there.
        subnet = {"name": name, "network_id": created["id"], "ip_version": 4, "cidr": "203.0.113.0/24"}
        network.post("/v2.0/subnets", json={"subnet": {**subnet, "enable_dhcp": False}})
