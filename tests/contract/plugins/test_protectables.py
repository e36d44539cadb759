"""The protectable plugins: the contract suite, and what is specific to each."""

import io
import uuid
from pathlib import Path
from typing import Any

import glanceclient.exc
import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain.resource import (
    DATABASE,
    IMAGE,
    KEY_PAIR,
    NETWORK,
    PROJECT,
    SERVER,
    SHARE,
    VOLUME,
    Resource,
)
from karbor_like.plugins.cinder.protectable import VolumeProtectable
from karbor_like.plugins.glance.protectable import ImageProtectable
from karbor_like.plugins.keystone.protectable import ProjectProtectable
from karbor_like.plugins.kubernetes.protectable import PodProtectable
from karbor_like.plugins.manila.objects import Shown
from karbor_like.plugins.manila.protectable import ShareProtectable, obstacle
from karbor_like.plugins.neutron.protectable import NetworkProtectable
from karbor_like.plugins.nova.protectable import KeyPairProtectable, ServerProtectable
from karbor_like.plugins.trove.protectable import DatabaseProtectable
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.sandbox import ProtectableContract
from tests.contract.plugins import kubernetes

MARKERS = {
    "karbor_like_operation": "an operation",
    "karbor_like_role": "temporary",
    "karbor_like_resource": "a resource",
}


def until(get: Any, status: str) -> Any:
    return Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120).until(
        status, get, done=lambda seen: seen.status == status
    )


def make_volume(clients: Clients, name: str = "data", **arguments: Any) -> Resource:
    volumes = clients.cinder().volumes
    made = volumes.create(1, name=name, **arguments)
    until(lambda: volumes.get(made.id), "available")
    return Resource(VOLUME, made.id, name, {"availability_zone": "nova"})


def make_image(clients: Clients, name: str = "golden", **arguments: Any) -> Resource:
    images = clients.glance().images
    made = images.create(name=name, disk_format="raw", container_format="bare", **arguments)
    images.upload(made.id, io.BytesIO(b"bytes"))
    return Resource(IMAGE, made.id, name)


def make_server(clients: Clients, image: Resource | None, name: str = "web") -> Resource:
    """Create a server that boots from *image*, or from a volume if that is None."""
    servers = clients.nova().servers
    disk = {"source_type": "volume", "destination_type": "volume", "boot_index": 0}
    disks = None if image else [{**disk, "uuid": make_volume(clients, "root").id}]
    made = servers.create(name, image.id if image else None, "1", block_device_mapping_v2=disks)
    until(lambda: servers.get(made.id), "ACTIVE")
    return Resource(SERVER, made.id, name)


def make_share(clients: Clients, name: str = "files", **arguments: Any) -> Resource:
    manila = clients.manila()
    made = manila.create("shares", {"size": 1, "share_proto": "NFS", "name": name, **arguments})["id"]
    until(lambda: Shown.of(manila.show("shares", made)), "available")
    return Resource(SHARE, made, name)


def make_network(clients: Clients, name: str = "inner", **values: Any) -> Resource:
    """Create a network, and return the resource that stands for all networks of the project."""
    clients.neutron().create("networks", {"name": name, **values})
    return Resource(NETWORK, clients.project_id, "Network Topology")


def make_database(clients: Clients, name: str = "shop") -> Resource:
    trove = clients.trove()
    made = trove.create("instances", {"name": name, "flavorRef": "1", "volume": {"size": 1}})["id"]
    Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120).until(
        "ACTIVE", lambda: trove.show("instances", made), done=lambda seen: seen["status"] == "ACTIVE"
    )
    return Resource(DATABASE, made, name)


def project_of(clients: Clients) -> Resource:
    return Resource(PROJECT, clients.context.project_id, clients.context.project_name)


class TestProject(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> ProjectProtectable:
        return ProjectProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return project_of(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return project_of(bob)

    def test_name_missing_from_the_context(self, plugin: ProjectProtectable, alice: Clients, mine: Resource) -> None:
        alice.context.project_name = None
        assert plugin.show(alice, mine.id).name == mine.name


class TestVolume(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> VolumeProtectable:
        return VolumeProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_volume(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_volume(bob)

    def test_states(self, plugin: VolumeProtectable, alice: Clients, admin: Clients, mine: Resource) -> None:
        """A volume that cannot be protected is not listed, and is a child with an obstacle.

        A volume that only receives its data is protected if the plan names it.
        """
        server = make_server(alice, make_image(alice))
        alice.nova().volumes.create_server_volume(server.id, mine.id)
        until(lambda: alice.cinder().volumes.get(mine.id), "in-use")
        parents = [project_of(alice), server]

        def obstacles() -> set[str | None]:
            found = plugin.children(alice, parents)
            assert list(found.values()) == [[mine], [mine]]
            return {children[0].obstacle for children in found.values()}

        for status in (
            "error",
            "deleting",
            "error_deleting",
            "maintenance",
            "reserved",
            "awaiting-transfer",
            "new one",
        ):
            admin.cinder().volumes.reset_state(mine.id, status)
            assert plugin.list(alice) == []
            assert obstacles() == {f"it is in state '{status}'"}
            with pytest.raises(exception.ResourceNotProtectable, match=f"'{status}'"):
                plugin.show(alice, mine.id)
        for status in ("creating", "downloading", "restoring-backup"):
            admin.cinder().volumes.reset_state(mine.id, status)
            assert plugin.list(alice) == [plugin.show(alice, mine.id)] == [mine]
            assert obstacles() == {f"it is in state '{status}'"}
        for status in ("available", "in-use", "attaching", "backing-up"):
            admin.cinder().volumes.reset_state(mine.id, status)
            assert plugin.list(alice) == [plugin.show(alice, mine.id)] == [mine]
            assert obstacles() == {None}

    def test_volume_of_a_shelved_server_is_its_child(
        self, plugin: VolumeProtectable, alice: Clients, admin: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        """Cinder does not show the attachments of a shelved server, and reserves its volumes."""
        server = make_server(alice, make_image(alice))
        alice.nova().volumes.create_server_volume(server.id, mine.id)
        alice.nova().servers.shelve(server.id)
        assert alice.cinder().volumes.get(mine.id).attachments == []
        (child,) = plugin.children(alice, [server])[server]
        assert (child, child.obstacle) == (mine, "it is in state 'reserved'")

    def test_objects_of_operations_are_hidden(self, plugin: VolumeProtectable, alice: Clients, mine: Resource) -> None:
        temporary = make_volume(alice, "temporary", metadata=MARKERS)
        assert plugin.list(alice) == [mine]
        assert plugin.children(alice, [project_of(alice)]) == {project_of(alice): [mine]}
        with pytest.raises(exception.Conflict, match="an operation"):
            plugin.show(alice, temporary.id)

    @pytest.mark.parametrize("prefix", ["backup-vol-", "tmp-snap-"])
    def test_volumes_that_cinder_makes_for_itself_are_hidden(
        self, plugin: VolumeProtectable, alice: Clients, mine: Resource, prefix: str
    ) -> None:
        similar = make_volume(alice, f"{prefix}weekly")
        temporary = make_volume(alice, prefix + mine.id)
        project = project_of(alice)
        assert {volume.id for volume in plugin.list(alice)} == {mine.id, similar.id}
        assert {child.id for child in plugin.children(alice, [project])[project]} == {mine.id, similar.id}
        with pytest.raises(exception.ResourceNotProtectable, match="Cinder made it for a backup"):
            plugin.show(alice, temporary.id)

    def test_volume_is_a_child_of_its_server(self, plugin: VolumeProtectable, alice: Clients, mine: Resource) -> None:
        image = make_image(alice)
        first, second = make_server(alice, image, "first"), make_server(alice, image, "second")
        alice.nova().volumes.create_server_volume(first.id, mine.id)
        until(lambda: alice.cinder().volumes.get(mine.id), "in-use")
        assert plugin.children(alice, [first, second]) == {first: [mine], second: []}

    def test_volume_without_a_name(self, plugin: VolumeProtectable, alice: Clients) -> None:
        nameless = make_volume(alice, "")
        assert plugin.show(alice, nameless.id).name == ""


class TestShare(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> ShareProtectable:
        return ShareProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_share(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_share(bob)

    @staticmethod
    def reset(admin: Clients, share: Resource, status: str) -> None:
        action = {"reset_status": {"status": status}}
        admin.adapter("manila").post(f"/shares/{share.id}/action", json=action, microversion="2.73")

    def test_states(self, plugin: ShareProtectable, alice: Clients, admin: Clients, mine: Resource) -> None:
        """A share that only receives its data is protected if the plan names it."""

        def child() -> str | None:
            ((found,),) = plugin.children(alice, [project_of(alice)]).values()
            assert found == mine
            return found.obstacle

        for status in (
            "error",
            "deleting",
            "error_deleting",
            "manage_error",
            "unmanage_error",
            "extending_error",
            "shrinking_error",
            "reverting_error",
            "migrating",
            "awaiting_transfer",
            "new one",
        ):
            self.reset(admin, mine, status)
            assert plugin.list(alice) == []
            assert child() == f"it is in state '{status}'"
            with pytest.raises(exception.ResourceNotProtectable, match=f"'{status}'"):
                plugin.show(alice, mine.id)
        for status, reason in (
            ("creating_from_snapshot", "it is in state 'creating_from_snapshot'"),
            ("extending", None),
            ("available", None),
        ):
            self.reset(admin, mine, status)
            assert plugin.list(alice) == [plugin.show(alice, mine.id)] == [mine]
            assert child() == reason

    def test_objects_of_operations_are_hidden(self, plugin: ShareProtectable, alice: Clients, mine: Resource) -> None:
        marked = make_share(alice, "restored", metadata=MARKERS)
        named = make_share(alice, "karbor-like-0c8f7e6d-0000-4000-8000-000000000000-x-share")
        assert plugin.list(alice) == [mine]
        assert plugin.children(alice, [project_of(alice)]) == {project_of(alice): [mine]}
        for hidden in (marked, named):
            with pytest.raises(exception.Conflict, match="belongs to operation"):
                plugin.show(alice, hidden.id)

    def test_public_shares_of_others_are_not_ours(
        self, plugin: ShareProtectable, alice: Clients, admin: Clients, theirs: Resource
    ) -> None:
        admin.manila().update("shares", theirs.id, {"is_public": True})
        assert alice.manila().show("shares", theirs.id)["id"] == theirs.id
        assert plugin.list(alice) == []
        with pytest.raises(exception.ResourceNotFound):
            plugin.show(alice, theirs.id)

    def test_share_without_a_name(self, plugin: ShareProtectable, alice: Clients) -> None:
        nameless = alice.manila().create("shares", {"size": 1, "share_proto": "NFS"})["id"]
        assert plugin.show(alice, nameless).name == ""

    @pytest.mark.parametrize("values", [{"status": 1}, {"size": "1"}, {"name": ["a"]}], ids=str)
    def test_responses_that_cannot_be_understood(self, values: dict[str, Any]) -> None:
        with pytest.raises(exception.Unavailable, match="cannot be understood"):
            Shown.of({"id": "a", "name": None, "status": "available", "size": 1, **values})

    def test_recycle_bin(self) -> None:
        """Lists leave out what is in the recycle bin, but it can be shown."""
        share = {"id": "a", "name": None, "status": "available", "size": 1, "is_soft_deleted": True}
        assert obstacle(Shown.of(share)) == "it is in the recycle bin"


class TestServer(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> ServerProtectable:
        return ServerProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_server(alice, make_image(alice))

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_server(bob, make_image(bob))

    def test_unusable_resources_are_hidden(
        self, plugin: ServerProtectable, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        cloud.fault(service="compute", method="POST", path="/servers$", kind="error")
        broken = alice.nova().servers.create("broken", make_image(alice).id, "1")
        until(lambda: alice.nova().servers.get(broken.id), "ERROR")
        assert plugin.list(alice) == [mine]
        children = plugin.children(alice, [project_of(alice)])[project_of(alice)]
        assert {child.id: child.obstacle for child in children} == {mine.id: None, broken.id: "it is in state 'ERROR'"}
        with pytest.raises(exception.Conflict, match="'ERROR'"):
            plugin.show(alice, broken.id)

    def test_servers_need_the_networks(self, plugin: ServerProtectable, alice: Clients, mine: Resource) -> None:
        assert plugin.dependencies(alice, [mine]) == {mine: [Resource(NETWORK, alice.project_id)]}


class TestNetwork(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> NetworkProtectable:
        return NetworkProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_network(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_network(bob)

    def test_what_counts_as_a_network(self, plugin: NetworkProtectable, alice: Clients, admin: Clients) -> None:
        """Everything but shared networks, the default group, ports of Neutron itself, and what operations create."""
        neutron, values = alice.neutron(), {"name": "x"}
        outside = admin.neutron().create("networks", {"shared": True, "router:external": True})["id"]
        subnet = {"network_id": outside, "ip_version": 4, "cidr": "203.0.113.0/24"}
        admin.neutron().create("subnets", subnet)
        neutron.create("ports", {"network_id": outside, "device_owner": "network:dhcp"})
        operation = "karbor-like-0c8f7e6d-0000-4000-8000-000000000000-x-network"
        for mark in ({"name": operation}, {"name": "net", "description": operation}):
            for collection in ("networks", "routers", "security-groups"):
                neutron.create(collection, mark)
        assert plugin.list(alice) == []
        with pytest.raises(exception.ResourceNotFound, match="has no networks"):
            plugin.show(alice, alice.project_id)
        for collection, given in {
            "security-groups": values,
            "routers": values,
            "ports": {"network_id": outside},
            "floatingips": {"floating_network_id": outside},
        }.items():
            made = neutron.create(collection, given)["id"]
            assert plugin.list(alice) == [Resource(NETWORK, alice.project_id)]
            neutron.delete(collection, made)
            assert plugin.list(alice) == []


class TestKeyPair(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> KeyPairProtectable:
        return KeyPairProtectable()

    @staticmethod
    def make(clients: Clients, name: str) -> Resource:
        clients.nova("2.2").keypairs.create(name)
        return Resource(KEY_PAIR, name, name)

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return self.make(alice, "laptop of Alice")

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return self.make(bob, "laptop of Bob")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("laptop", True),
            ("a b_c-d@e.f", True),
            ("..", False),
            (".a", True),
            ("a/b", False),
            ("", False),
            ("x" * 231, False),
        ],
    )
    def test_ids_are_names(self, plugin: KeyPairProtectable, text: str, expected: bool) -> None:
        assert plugin.is_id(text) is expected

    def test_servers_depend_on_the_key_pairs_of_the_user(self, alice: Clients, mine: Resource) -> None:
        nova, image = alice.nova("2.37").servers, make_image(alice)
        made = {
            name: Resource(SERVER, nova.create("web", image.id, "1", nics="none", **arguments).id)
            for name, arguments in {"with": {"key_name": mine.id}, "without": {}}.items()
        }
        networks = Resource(NETWORK, alice.project_id)
        assert ServerProtectable().dependencies(alice, [*made.values()]) == {
            made["with"]: [networks, mine],
            made["without"]: [networks],
        }


class TestImage(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> ImageProtectable:
        return ImageProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_image(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_image(bob)

    def test_public_images_are_visible_to_all_projects(
        self, plugin: ImageProtectable, alice: Clients, admin: Clients, mine: Resource
    ) -> None:
        public = make_image(admin, "debian", visibility="public")
        assert set(plugin.list(alice)) == {mine, public}
        assert plugin.show(alice, public.id) == public
        assert plugin.children(alice, [project_of(alice)]) == {project_of(alice): [mine]}

    def test_image_is_a_child_of_its_server(
        self, plugin: ImageProtectable, alice: Clients, admin: Clients, mine: Resource
    ) -> None:
        community = make_image(admin, "unlisted", visibility="community")
        volatile = make_image(alice, "volatile")
        servers = [make_server(alice, image) for image in (mine, mine, community, volatile, None)]
        alice.glance().images.delete(volatile.id)
        found = plugin.children(alice, servers)
        assert [list(found.get(server, [])) for server in servers] == [[mine], [mine], [community], [volatile], []]
        assert found[servers[0]][0].extra_info == {"server_id": servers[0].id}
        assert [found[server][0].obstacle for server in servers[:3]] == [None, None, None]
        assert found[servers[3]][0].obstacle == (
            f"server {servers[3].id} was booted from it, and it was deleted or is not shared with the project any more"
        )

    def test_hidden_images_are_children_of_their_project(
        self, plugin: ImageProtectable, alice: Clients, bob: Clients, mine: Resource
    ) -> None:
        hidden = make_image(alice, "old golden", os_hidden=True)
        make_image(bob, "old golden", os_hidden=True)
        assert set(plugin.list(alice)) == {mine, hidden}
        assert set(plugin.children(alice, [project_of(alice)])[project_of(alice)]) == {mine, hidden}

    def test_image_that_was_never_filled(self, plugin: ImageProtectable, alice: Clients, mine: Resource) -> None:
        queued = alice.glance().images.create(name="queued", disk_format="raw", container_format="bare")
        assert plugin.list(alice) == [mine]
        children = plugin.children(alice, [project_of(alice)])[project_of(alice)]
        assert {child.id: child.obstacle for child in children} == {mine.id: None, queued.id: "it is in state 'queued'"}
        with pytest.raises(exception.ResourceNotProtectable, match="'queued'"):
            plugin.show(alice, queued.id)

    def test_objects_of_operations_are_hidden(self, plugin: ImageProtectable, alice: Clients, mine: Resource) -> None:
        temporary = make_image(alice, "temporary", **MARKERS)
        assert plugin.list(alice) == [mine]
        with pytest.raises(exception.Conflict, match="an operation"):
            plugin.show(alice, temporary.id)

    def test_unusable_resources_are_hidden(
        self, plugin: ImageProtectable, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        cloud.fault(service="image", method="PUT", path="/file$", kind="error")
        broken = alice.glance().images.create(name="broken", disk_format="raw", container_format="bare")
        with pytest.raises(glanceclient.exc.HTTPInternalServerError):
            alice.glance().images.upload(broken.id, io.BytesIO(b"bytes"))
        assert plugin.list(alice) == [mine]
        with pytest.raises(exception.Conflict, match="'killed'"):
            plugin.show(alice, broken.id)


class TestDatabase(ProtectableContract):
    @pytest.fixture
    def plugin(self) -> DatabaseProtectable:
        return DatabaseProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return make_database(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return make_database(bob)

    def test_states(self, plugin: DatabaseProtectable, alice: Clients, cloud: Sandbox, mine: Resource) -> None:
        """An instance that changes is not listed. As a child it is waited for, unless it is being built."""
        cloud.fault(service="database", method="POST", path="/instances$", kind="hold")
        cloud.fault(service="database", method="POST", path="/instances$", kind="error", nth=2)
        trove, values = alice.trove(), {"name": "new", "flavorRef": "1", "volume": {"size": 1}}
        building = trove.create("instances", values)["id"]
        broken = trove.create("instances", values)["id"]
        Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120).until(
            "ERROR", lambda: trove.show("instances", broken), done=lambda seen: seen["status"] == "ERROR"
        )
        assert plugin.list(alice) == [mine]
        project = project_of(alice)
        assert {child.id: child.obstacle for child in plugin.children(alice, [project])[project]} == {
            mine.id: None,
            building: "it is in state 'BUILD'",
            broken: "it is in state 'ERROR'",
        }
        for instance in (building, broken):
            with pytest.raises(exception.ResourceNotProtectable, match="it is in state"):
                plugin.show(alice, instance)

    def test_objects_of_operations_are_hidden(
        self, plugin: DatabaseProtectable, alice: Clients, mine: Resource
    ) -> None:
        temporary = make_database(alice, "karbor-like-0c8f7e6d-0000-4000-8000-000000000000-x-instance")
        assert plugin.list(alice) == [mine]
        assert plugin.children(alice, [project_of(alice)]) == {project_of(alice): [mine]}
        with pytest.raises(exception.Conflict, match="operation 0c8f7e6d"):
            plugin.show(alice, temporary.id)

    def test_instances_need_the_networks(self, plugin: DatabaseProtectable, alice: Clients, mine: Resource) -> None:
        assert plugin.dependencies(alice, [mine]) == {mine: [Resource(NETWORK, alice.project_id)]}


class TestPod(ProtectableContract):
    @pytest.fixture
    def factory(self, cloud: Sandbox, tmp_path: Path) -> ClientFactory:
        return kubernetes.make_factory(cloud, tmp_path)

    @pytest.fixture
    def plugin(self) -> PodProtectable:
        return PodProtectable()

    @pytest.fixture
    def mine(self, alice: Clients) -> Resource:
        return kubernetes.make_pod(alice)

    @pytest.fixture
    def theirs(self, bob: Clients) -> Resource:
        return kubernetes.make_pod(bob)

    def test_ids_and_names_are_those_of_karbor(
        self, plugin: PodProtectable, alice: Clients, mine: Resource, theirs: Resource
    ) -> None:
        namespace = f"project-{alice.project_id}"
        assert (mine.id, mine.name) == (
            str(uuid.uuid5(uuid.NAMESPACE_OID, f"{namespace}:web")),
            f"{namespace}:web",
        )
        for name in ("web", f"{namespace}:web"):
            assert plugin.show(alice, "any id", {"name": name}) == mine
        for name in ("other", theirs.name, "../web"):
            with pytest.raises(exception.ResourceNotFound):
                plugin.show(alice, mine.id, {"name": name})

    def test_states(self, plugin: PodProtectable, alice: Clients, cloud: Sandbox, mine: Resource) -> None:
        cloud.fault(service="kubernetes", method="POST", path="/pods$", kind="hold")
        client = kubernetes.client_of(alice)
        client.create_pod({"metadata": {"name": "new"}, "spec": {}})
        assert plugin.list(alice) == [mine]
        project = project_of(alice)
        children = plugin.children(alice, [project])[project]
        assert {child.name[-3:]: child.obstacle for child in children} == {
            "web": None,
            "new": "it is in state 'Pending'",
        }

    def test_objects_of_operations_are_hidden(self, plugin: PodProtectable, alice: Clients, mine: Resource) -> None:
        kubernetes.client_of(alice).create_pod({"metadata": {"name": "t", "annotations": MARKERS}, "spec": {}})
        assert plugin.list(alice) == [mine]
        assert plugin.children(alice, [project_of(alice)]) == {project_of(alice): [mine]}

    def test_volumes_of_pods_are_their_children(
        self, plugin: PodProtectable, alice: Clients, bob: Clients, cloud: Sandbox
    ) -> None:
        """Those of the project, whether the pod names them or its claims. A claim is used only if the volume is its own."""
        own = {name: make_volume(alice, name) for name in ("inline", "csi", "old", "stolen")}
        theirs = make_volume(bob)

        def csi(volume: Resource) -> dict[str, Any]:
            return {"csi": {"driver": "cinder.csi.openstack.org", "volumeHandle": volume.id}}

        volumes = [
            {"name": "inline", "cinder": {"volumeID": own["inline"].id}},
            {"name": "theirs", "cinder": {"volumeID": theirs.id}},
            kubernetes.claim(alice, "csi", csi(own["csi"])),
            kubernetes.claim(alice, "old", {"cinder": {"volumeID": own["old"].id}}),
            kubernetes.claim(alice, "stolen", csi(own["stolen"]), namespace="another"),
            kubernetes.claim(alice, "nfs", {"nfs": {"server": "x"}}),
            {"name": "missing", "persistentVolumeClaim": {"claimName": "missing"}},
        ]
        pod, bare = kubernetes.make_pod(alice, volumes=volumes), kubernetes.make_pod(alice, "bare")
        children = VolumeProtectable().children(alice, [pod, bare])
        assert (set(children[pod]), children[bare]) == ({own["inline"], own["csi"], own["old"]}, [])

    def test_namespaces_of_single_projects(
        self, plugin: PodProtectable, cloud: Sandbox, tmp_path: Path, alice: Clients, mine: Resource
    ) -> None:
        bob = sandbox.context_of(cloud, "bob")
        factory = kubernetes.make_factory(cloud, tmp_path, namespaces={bob.project_id: f"project-{alice.project_id}"})
        assert plugin.list(factory.for_context(bob)) == [mine]
        assert plugin.list(factory.for_context(alice.context)) == []
        wrong = kubernetes.make_factory(cloud, tmp_path, namespaces={bob.project_id: "../x"})
        with pytest.raises(exception.ConfigurationError, match="cannot be the name of a namespace"):
            plugin.list(wrong.for_context(bob))

    def test_a_namespace_for_all_projects_is_refused(self, cloud: Sandbox, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="default"):
            kubernetes.make_factory(cloud, tmp_path, namespace="default")


@pytest.mark.parametrize(
    "plugin",
    [ServerProtectable(), VolumeProtectable(), ImageProtectable(), NetworkProtectable(), DatabaseProtectable()],
    ids=["server", "volume", "image", "network", "database"],
)
def test_cloud_without_the_service(plugin: Any, cloud: Sandbox, factory: ClientFactory) -> None:
    """A cloud without the service has no resources of that type."""
    context = sandbox.context_of(cloud)
    context.service_catalog = [s for s in context.service_catalog if s["type"] == "identity"]
    clients = factory.for_context(context)
    assert plugin.list(clients) == []
    assert not any(plugin.children(clients, [project_of(clients)]).values())
    with pytest.raises(exception.ResourceNotFound):
        plugin.show(clients, "0c8f7e6d-0000-4000-8000-000000000000")
