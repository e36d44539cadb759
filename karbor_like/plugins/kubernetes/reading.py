"""What Kubernetes says of the pods of a project, and of the Cinder volumes that they use."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.clients.kubernetes import Kubernetes
from karbor_like.plugins.toolkit import states

Values = Mapping[str, Any]

#: The driver of Cinder for the container storage interface.
_DRIVER: Final = "cinder.csi.openstack.org"


@dataclass(frozen=True)
class Pod:
    """A pod in the namespace of the project.

    :param name: with the namespace, as lists show it
    :param status: the phase
    """

    id: str
    name: str
    status: str
    values: Values

    @property
    def metadata(self) -> Values:
        """The metadata of the pod."""
        return object_in(self.values, "metadata")

    @property
    def obstacle(self) -> str | None:
        """Why it belongs to an operation of this service, or None."""
        return states.owner_obstacle(self, object_in(self.metadata, "annotations"))


@dataclass(frozen=True)
class Mounted:
    """A Cinder volume of a pod.

    :param name: in the pod
    :param claim: name of the claim by which the pod uses it, or None
    """

    name: str
    volume_id: str
    fs_type: str | None
    read_only: bool
    claim: str | None


def pod_id(name: str) -> str:
    """Return the id of a pod.

    :param name: ``namespace:name``
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def read(client: Kubernetes, values: Values) -> Pod:
    """Return a pod that Kubernetes shows."""
    name = f"{client.namespace}:{object_in(values, 'metadata').get('name')}"
    return Pod(pod_id(name), name, str(object_in(values, "status").get("phase")), values)


def pods(clients: Clients) -> list[Pod]:
    """Return the pods in the namespace of the project; none if it has no namespace."""
    client = clients.kubernetes()
    if client is None:
        return []
    with translated("the pods of the project"):
        return [read(client, each) for each in client.pods()]


def find(clients: Clients, resource_id: str) -> Pod:
    """Return a pod of the project by its id. Raises ResourceNotFound."""
    found = next((pod for pod in pods(clients) if pod.id == resource_id), None)
    if found is None:
        raise exception.ResourceNotFound(f"pod {resource_id!r} does not exist in the namespace of the project")
    return found


def volumes_of(clients: Clients, wanted: Sequence[str]) -> dict[str, set[str]]:
    """Return the ids of the Cinder volumes of pods, by the ids of the pods.

    :param wanted: ids of the pods
    """
    client = clients.kubernetes()
    if client is None:
        return {}
    found = [pod for pod in pods(clients) if pod.id in wanted]
    return {pod.id: {each.volume_id for each in mounted(client, pod)} for pod in found}


def mounted(client: Kubernetes, pod: Pod) -> list[Mounted]:
    """Return the Cinder volumes of a pod. Each claim takes two requests."""
    found = [_mounted(client, each) for each in objects_in(object_in(pod.values, "spec"), "volumes")]
    return [each for each in found if each is not None]


def _mounted(client: Kubernetes, volume: Values) -> Mounted | None:
    claim = object_in(volume, "persistentVolumeClaim").get("claimName")
    read_only = bool(object_in(volume, "persistentVolumeClaim").get("readOnly"))
    source = volume if claim is None else _bound(client, str(claim))
    inline, driver = object_in(source, "cinder"), object_in(source, "csi")
    volume_id, described = inline.get("volumeID"), inline
    if driver.get("driver") == _DRIVER:
        volume_id, described = driver.get("volumeHandle"), driver
    if not uuidutils.is_uuid_like(volume_id):
        return None
    read_only = read_only or bool(described.get("readOnly"))
    return Mounted(str(volume.get("name")), str(uuid.UUID(volume_id)), described.get("fsType"), read_only, claim)


def _bound(client: Kubernetes, claim: str) -> Values:
    """Return the specification of the persistent volume that a claim is bound to."""
    try:
        with translated(f"persistent volume claim {claim}"):
            name = object_in(client.claim(claim), "spec").get("volumeName")
            found = object_in(client.volume(str(name)), "spec") if name else {}
    except (exception.ResourceNotFound, exception.InvalidInput):
        return {}
    user = object_in(found, "claimRef")
    return found if (user.get("namespace"), user.get("name")) == (client.namespace, claim) else {}


def object_in(values: Values, name: str) -> Values:
    """Return an object in another one, or an empty one if there is none."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def objects_in(values: Values, name: str) -> list[Values]:
    """Return the objects of a list in an object."""
    found = values.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
