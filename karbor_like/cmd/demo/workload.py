"""A project with a small workload, as the subject of the demonstration.

The server ``web`` boots from an image. The server ``db`` boots from a volume and has a second one with data. Both are in a
network behind a router, with fixed addresses, and a key pair opens them.
"""

import hashlib
import io
from typing import Any, Final

from glanceclient import client as glance
from novaclient import client as nova

from karbor_like.clients.neutron import Neutron
from karbor_like.cmd.demo.tenant import Json, Tenant, random_bytes, until
from karbor_like.domain.resource import PROJECT
from karbor_like.exception import ResourceFailed
from karbor_like.sandbox.compute import imaging

_PUBLIC_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS alice@laptop"
_FLAVOR: Final = "1"
_INTERFACE: Final = "network:router_interface"
#: Collections of Neutron, in an order in which their objects can be deleted.
_COLLECTIONS: Final = ("ports", "routers", "subnets", "networks", "security-groups")


class Workload:
    """The workload of a tenant. Everything in the tenant's project belongs to it.

    :param mebibytes: random data on the second volume
    """

    note = "Not counted: the image with the root disk of the server that was restored."

    def __init__(self, tenant: Tenant, mebibytes: int = 32) -> None:
        self._tenant = tenant
        self._mebibytes = mebibytes
        self._project = tenant.session.get_project_id()
        self._nova = nova.Client("2.96", session=tenant.session)
        self._glance = glance.Client("2", session=tenant.session)
        self._neutron = Neutron("2.0", session=tenant.session, service_type="network")
        self._base_id = ""

    # create

    def create(self) -> Json:
        """Create everything."""
        ports = self._create_network()
        self._nova.keypairs.create("laptop", public_key=_PUBLIC_KEY)
        self._base_id = self._create_image("base")
        root = self._tenant.volume("db-root", imageRef=self._base_id)
        data = self._tenant.volume("db-data")
        self._tenant.cloud.write_volume(data.id, random_bytes(2, self._mebibytes))
        existing = {"source_type": "volume", "destination_type": "volume"}
        disks = [
            {**existing, "uuid": root.id, "boot_index": 0, "device_name": "vda"},
            {**existing, "uuid": data.id, "boot_index": -1, "device_name": "vdc"},
        ]
        self._create_server("web", self._base_id, ports["web"])
        self._create_server("db", None, ports["db"], block_device_mapping_v2=disks)
        return {"type": PROJECT, "id": self._project, "name": "alice"}

    def _create_network(self) -> dict[str, str]:
        """Create the network with all that belongs to it, and return the ids of the ports by the names of their servers."""
        create = self._neutron.create
        network = create("networks", {"name": "inner"})["id"]
        subnet = {
            "name": "inner-4",
            "network_id": network,
            "ip_version": 4,
            "cidr": "10.0.3.0/24",
            "enable_dhcp": False,
        }
        subnet_id = create("subnets", subnet)["id"]
        router = create("routers", {"name": "edge"})["id"]
        self._neutron.call("routers", router, "add_router_interface", {"subnet_id": subnet_id})
        groups = {name: create("security-groups", {"name": name})["id"] for name in ("web", "db")}
        for name, port, source in (
            ("web", 443, {"remote_ip_prefix": "0.0.0.0/0"}),
            ("db", 5432, {"remote_group_id": groups["web"]}),
        ):
            rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port, **source}
            create("security-group-rules", {"security_group_id": groups[name], **rule})
        ports = {}
        for name, address in (("web", "10.0.3.10"), ("db", "10.0.3.20")):
            fixed = [{"subnet_id": subnet_id, "ip_address": address}]
            port_values = {"name": name, "network_id": network, "fixed_ips": fixed, "security_groups": [groups[name]]}
            ports[name] = create("ports", port_values)["id"]
        return ports

    def _create_image(self, name: str) -> str:
        data = b"".join(random_bytes(1, 1))
        image = self._glance.images.create(name=name, disk_format="raw", container_format="bare")
        self._glance.images.upload(image.id, io.BytesIO(data), image_size=len(data))
        return image.id

    def _create_server(self, name: str, image: str | None, port: str, **values: Any) -> None:
        nics = [{"port-id": port}]
        created = self._nova.servers.create(name, image, _FLAVOR, nics=nics, key_name="laptop", **values)
        server = until(lambda: self._nova.servers.get(created.id), lambda server: server.status != "BUILD")
        if server.status != "ACTIVE":
            raise ResourceFailed(f"server {name} is in status {server.status}: {getattr(server, 'fault', None)}")

    # look

    def look(self) -> dict[str, str]:
        """Return names, addresses, disks and digests, and the number of objects of each kind."""
        groups = {group["id"]: group["name"] for group in self._own("security-groups")}
        volumes = {volume.id: volume for volume in self._tenant.cinder.volumes.list()}
        servers = sorted(self._nova.servers.list(), key=lambda server: server.name)
        looks = {"server names": _names(server.name for server in servers)}
        for server in servers:
            looks[f"{server.name}: key pair"] = server.key_name
            for port in self._neutron.list("ports", device_id=server.id):
                looks[f"{server.name}: address"] = _names(fixed["ip_address"] for fixed in port["fixed_ips"])
                looks[f"{server.name}: MAC address"] = port["mac_address"]
                looks[f"{server.name}: groups"] = _names(groups[group] for group in port["security_groups"])
            for held in self._nova.volumes.get_server_volumes(server.id):
                looks[f"{server.name}: {held.device}"] = volumes[held.volumeId].name
            if server.image:
                looks[f"{server.name}: disk SHA-256"] = self._root_disk(server)
        for volume in sorted(volumes.values(), key=lambda volume: volume.name):
            looks[f"{volume.name}: SHA-256"] = self._tenant.cloud.volume_digest(volume.id)
        restored_disks = {server.image["id"] for server in servers if server.image} - {self._base_id}
        return looks | self._look_at_networks(groups) | self._counts(restored_disks)

    def _root_disk(self, server: Any) -> str:
        """Return the digest of a root disk.

        No machine runs on the sandbox: what a server has written since it booted from the base image is made of its id. A
        restored server boots from an image with these bytes.
        """
        image_id = server.image["id"]
        chunks = [imaging.content(server.id)] if image_id == self._base_id else self._glance.images.data(image_id)
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()

    def _look_at_networks(self, groups: dict[str, str]) -> dict[str, str]:
        looks = {f"subnet {each['name']}": each["cidr"] for each in self._own("subnets")}
        looks["network names"] = _names(each["name"] for each in self._own("networks"))
        for router in self._own("routers"):
            inside = self._neutron.list("ports", device_id=router["id"], device_owner=_INTERFACE)
            addresses = (fixed["ip_address"] for port in inside for fixed in port["fixed_ips"])
            looks[f"router {router['name']}"] = _names(addresses)
        for group in self._own("security-groups"):
            for rule in group["security_group_rules"]:
                if rule["direction"] == "ingress" and rule["protocol"]:
                    source = groups.get(rule["remote_group_id"]) or rule["remote_ip_prefix"]
                    looks[f"{group['name']}: {rule['protocol']} {rule['port_range_min']}"] = f"from {source}"
        return looks

    def _counts(self, uncounted_images: set[str]) -> dict[str, str]:
        found = {
            "servers": self._nova.servers.list(),
            "key pairs": self._nova.keypairs.list(),
            "volumes": self._tenant.cinder.volumes.list(),
            "snapshots": self._tenant.cinder.volume_snapshots.list(),
            "images": [image for image in self._images() if image.id not in uncounted_images],
            **{collection.replace("-", " "): self._own(collection) for collection in _COLLECTIONS},
        }
        return {kind: str(len(objects)) for kind, objects in found.items()}

    def _own(self, collection: str) -> list[Json]:
        return sorted(self._neutron.list(collection, project_id=self._project), key=lambda each: each["name"])

    def _images(self) -> list[Any]:
        return list(self._glance.images.list(filters={"owner": self._project}))

    # delete

    def delete(self) -> None:
        """Delete everything that the project contains, but the security group that every project has."""
        for server in self._nova.servers.list():
            self._nova.servers.delete(server)
        until(self._nova.servers.list, lambda servers: not servers)
        self._tenant.delete_volumes()
        for image in self._images():
            self._glance.images.delete(image.id)
        for pair in self._nova.keypairs.list():
            self._nova.keypairs.delete(pair)
        for collection in _COLLECTIONS:
            for each in self._own(collection):
                if each.get("device_owner") == _INTERFACE:
                    self._neutron.call("routers", each["device_id"], "remove_router_interface", {"port_id": each["id"]})
                elif (collection, each["name"]) != ("security-groups", "default"):
                    self._neutron.delete(collection, each["id"])


def _names(names: Any) -> str:
    return ", ".join(sorted(names))
