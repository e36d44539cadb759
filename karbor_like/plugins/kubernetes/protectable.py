"""The protectable plugin for pods of Kubernetes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.kubernetes import reading
from karbor_like.plugins.kubernetes.reading import Pod
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

_PROTECTABLE: Final = frozenset({"Running", "Succeeded"})


class PodProtectable(ProtectablePlugin):
    """Lists the pods in the namespace that the operator gave to the project. Their parent is the project.

    The parameter ``name`` of :meth:`show`, ``namespace:name`` or a name in that namespace, is used in place of the id.
    """

    api_version = 1
    resource_type = resource.POD
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(pod) for pod in reading.pods(clients) if not pod.obstacle and not obstacle(pod)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        name, client = (parameters or {}).get("name"), clients.kubernetes()
        if name and client:
            resource_id = reading.pod_id(str(name) if ":" in str(name) else f"{client.namespace}:{name}")
        pod = reading.find(clients, resource_id)
        states.require_protectable("pod", pod.name, pod.obstacle or obstacle(pod))
        return _resource(pod)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        own = [parent for parent in parents if parent.id == clients.project_id]
        found = [_resource(pod, obstacle(pod)) for pod in reading.pods(clients) if not pod.obstacle] if own else []
        return {parent: found if parent in own else [] for parent in parents}


def obstacle(pod: Pod) -> str | None:
    """Return why a pod cannot be protected, or None if it can."""
    return states.obstacle(pod, _PROTECTABLE)


def _resource(pod: Pod, reason: str | None = None) -> Resource:
    return Resource(resource.POD, pod.id, pod.name, {"namespace": pod.name.partition(":")[0]}, reason)
