"""Pods as objects that operations create and delete."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.kubernetes import Kubernetes
from karbor_like.plugins.kubernetes import reading
from karbor_like.plugins.kubernetes.reading import Pod, object_in
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.toolkit import ownership

#: The annotation with the name of a pod in the journal: the pod itself has the name that the tenant chose.
NAME: Final = "karbor_like_name"


class Pods(CloudObjects):
    """Pods in the namespace of the project. Their ids here are ``name/uid``, because a name may be given to another pod."""

    noun = "pod"
    ready = "Running"
    deletable = frozenset({"Pending", "Running", "Failed", "Unknown"})

    @property
    def client(self) -> Kubernetes:
        """The client. Raises Unsupported if the project has no namespace."""
        return require(self.clients.kubernetes())

    def get(self, cloud_id: str) -> Pod:
        name, _, uid = cloud_id.partition("/")
        with translated(f"pod {name}"):
            found = reading.read(self.client, self.client.pod(name))
        if found.metadata.get("uid") != uid:
            raise exception.ResourceNotFound(f"pod {name} does not exist any more: another one has its name")
        if found.metadata.get("deletionTimestamp"):
            return replace(found, status="(being deleted)")
        # A job may end before it is seen to run.
        return replace(found, status="Running") if found.status == "Succeeded" else found

    def find(self, name: str) -> Sequence[str]:
        return [
            identity(pod)
            for pod in reading.pods(self.clients)
            if object_in(pod.metadata, "annotations").get(NAME) == name
        ]

    def delete(self, current: Pod) -> None:
        name = str(current.metadata.get("name"))
        with translated(f"deleting pod {name}"):
            self.client.delete_pod(name, str(current.metadata.get("uid")))

    def failure(self, current: Pod) -> str | None:
        if current.status not in ("Failed", "Unknown"):
            return None
        status = object_in(current.values, "status")
        reason = status.get("message") or status.get("reason") or "no reason given"
        return f"Kubernetes put it into phase {current.status!r}: {reason}"

    def scan(self) -> Iterable[Pod]:
        return reading.pods(self.clients)

    def mark(self, current: Pod) -> Mark | None:
        annotations = object_in(current.metadata, "annotations")
        name, created_at = annotations.get(NAME), current.metadata.get("creationTimestamp")
        return ownership.mark(identity(current), name, annotations, created_at)


def identity(pod: Pod) -> str:
    """Return the id of a pod in the journal."""
    return f"{pod.metadata.get('name')}/{pod.metadata.get('uid')}"


def require(client: Kubernetes | None) -> Kubernetes:
    """Return the client. Raises Unsupported if the project has no namespace."""
    if client is None:
        raise exception.Unsupported("the project has no namespace in a Kubernetes that this service can reach")
    return client
