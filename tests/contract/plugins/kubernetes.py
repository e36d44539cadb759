"""Projects with namespaces in the sandbox's Kubernetes, for the tests of pods."""

from pathlib import Path
from typing import Any

from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.kubernetes import Kubernetes
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain.resource import POD, Resource
from karbor_like.plugins.kubernetes import reading
from karbor_like.sandbox import containers
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox

WAITER = Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120)


def make_factory(cloud: Sandbox, directory: Path, **options: Any) -> ClientFactory:
    """Return clients of a cloud with Kubernetes.

    :param options: of ``[pod_protectable]``; by default, each project has a namespace
    """
    conf = sandbox.make_conf(cloud)
    token = directory / "token"
    token.write_text(f"{containers.TOKEN}\n")
    conf.set_override("k8s_host", f"{cloud.url}/kubernetes", "k8s_client")
    conf.set_override("k8s_token_file", str(token), "k8s_client")
    for name, value in (options or {"namespace": "project-%(project_id)s"}).items():
        conf.set_override(name, value, "pod_protectable")
    return ClientFactory(conf)


def client_of(clients: Clients) -> Kubernetes:
    """Return the client for the namespace of a project, which has one."""
    client = clients.kubernetes()
    assert client is not None
    return client


def make_pod(clients: Clients, name: str = "web", **spec: Any) -> Resource:
    """Create a pod and wait until it runs."""
    client = client_of(clients)
    client.create_pod(
        {
            "metadata": {"name": name, "labels": {"app": "shop", "pod-template-hash": "5d"}},
            "spec": {"containers": [{"name": "main", "image": "nginx:1"}], "restartPolicy": "Always", **spec},
        }
    )
    WAITER.until("Running", lambda: client.pod(name), done=lambda seen: seen["status"]["phase"] == "Running")
    full = f"{client.namespace}:{name}"
    return Resource(POD, reading.pod_id(full), full, {"namespace": client.namespace})


def claim(clients: Clients, name: str, source: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
    """Create a claim that is bound to a persistent volume, and return the volume of a pod that uses it.

    :param namespace: of the claim for which the persistent volume was made; by default, that of the project
    """
    client = client_of(clients)
    adapter: Any = client._adapter
    reference = {"namespace": namespace or client.namespace, "name": name}
    adapter.post(
        "/api/v1/persistentvolumes",
        json={"metadata": {"name": f"pv-{name}"}, "spec": {**source, "claimRef": reference}},
    )
    adapter.post(
        f"/api/v1/namespaces/{client.namespace}/persistentvolumeclaims",
        json={"metadata": {"name": name}, "spec": {"volumeName": f"pv-{name}"}},
    )
    return {"name": f"{name}-volume", "persistentVolumeClaim": {"claimName": name}}
