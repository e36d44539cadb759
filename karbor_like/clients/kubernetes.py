"""A client of Kubernetes, version v1 of its core API: https://kubernetes.io/docs/reference/kubernetes-api/.

Only some requests with small bodies are needed, and keystoneauth's sessions have connections, TLS, time limits and errors.
The official library brings a class for each object of all APIs, and several other libraries.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from keystoneauth1 import adapter, plugin
from keystoneauth1 import session as ksa_session
from oslo_config import cfg

from karbor_like import deadline, exception
from karbor_like.clients.http import LimitedSession

#: Objects that one request of a list asks for.
PAGE: Final = 500
#: Objects that a list may have. A service that never ends a list must not fill the memory.
MAX_OBJECTS: Final = 20_000

#: What Kubernetes calls a DNS label, and a DNS subdomain.
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PROJECT: Final = "%(project_id)s"

Values = Mapping[str, Any]


def namespace_of(conf: cfg.ConfigOpts, project_id: str | None) -> str | None:
    """Return the namespace that the operator gave to a project, or None.

    Raises ConfigurationError if it cannot be the name of a namespace.
    """
    group = conf.pod_protectable
    if not project_id:
        return None
    namespace = group.namespaces.get(project_id) or (group.namespace or "").replace(_PROJECT, project_id)
    if namespace and not _LABEL.fullmatch(namespace):
        raise exception.ConfigurationError(f"[pod_protectable]: {namespace!r} cannot be the name of a namespace")
    return namespace or None


def connect(conf: cfg.ConfigOpts, project_id: str | None) -> "Kubernetes | None":
    """Return the client for the namespace of a project, or None if it has none, or if no Kubernetes is configured."""
    group, namespace = conf.k8s_client, namespace_of(conf, project_id)
    if not group.k8s_host or not namespace:
        return None
    url = group.k8s_host if "://" in group.k8s_host else f"https://{group.k8s_host}"
    session = ksa_session.Session(
        auth=_Account(group.k8s_token_file),
        session=LimitedSession(deadline.TOTAL * group.timeout),
        verify=group.k8s_ssl_ca_cert or True,
        cert=(group.k8s_cert_file, group.k8s_key_file) if group.k8s_cert_file else None,
        timeout=group.timeout,
    )
    return Kubernetes(adapter.Adapter(session, endpoint_override=url.rstrip("/")), namespace)


class Kubernetes:
    """Reads, creates and deletes objects in one namespace: that of a project.

    All methods raise the exceptions of keystoneauth, for :func:`karbor_like.clients.errors.translated`; Unavailable if the
    response is not the one that the API describes; InvalidInput if a name cannot be one in Kubernetes.
    """

    def __init__(self, connection: adapter.Adapter, namespace: str) -> None:
        self.namespace = namespace
        self._adapter = connection

    def pods(self) -> list[dict[str, Any]]:
        """Return all pods. Raises ResourceFailed if there are more than :data:`MAX_OBJECTS`."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            body = _body(self._adapter.get(self._path("pods"), params=query))
            items = body.get("items")
            if not isinstance(items, list) or not all(_has_name(each) for each in items):
                raise _misunderstood("it has no list of pods")
            found += items
            if len(found) > MAX_OBJECTS:
                raise exception.ResourceFailed(
                    f"namespace {self.namespace} has more than {MAX_OBJECTS} pods: too many to be listed"
                )
            following = body["metadata"].get("continue") if isinstance(body.get("metadata"), dict) else None
            if not following or not items:
                return found
            query["continue"] = following

    def pod(self, name: str) -> dict[str, Any]:
        """Return a pod."""
        return _body(self._adapter.get(self._path("pods", name)))

    def claim(self, name: str) -> dict[str, Any]:
        """Return a persistent volume claim."""
        return _body(self._adapter.get(self._path("persistentvolumeclaims", name)))

    def volume(self, name: str) -> dict[str, Any]:
        """Return a persistent volume. These belong to no namespace: use only what a claim of the namespace is bound to."""
        return _body(self._adapter.get(f"/api/v1/persistentvolumes/{_checked(name)}"))

    def create_pod(self, manifest: Values) -> dict[str, Any]:
        """Create a pod. The request is not repeated if its answer is lost."""
        return _body(self._adapter.post(self._path("pods"), json=manifest))

    def annotate_pod(self, name: str, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of a pod, or remove those that are None."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self._adapter.patch(
            self._path("pods", name), json={"metadata": {"annotations": dict(annotations)}}, headers=headers
        )

    def delete_pod(self, name: str, uid: str) -> None:
        """Delete a pod, but not another one that has got its name since.

        :param uid: ``metadata.uid`` of the pod
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        self._adapter.delete(self._path("pods", name), json=options)

    def _path(self, collection: str, name: str | None = None) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/{collection}"
        return path if name is None else f"{path}/{_checked(name)}"


class _Account(plugin.BaseAuthPlugin):
    """The account of this service. A certificate belongs to the connection, and a token to each request."""

    def __init__(self, token_file: str | None) -> None:
        super().__init__()
        self._token_file = token_file

    def get_headers(self, session: Any, **kwargs: Any) -> dict[str, str]:
        if not self._token_file:
            return {}
        try:
            token = Path(self._token_file).read_text().strip()
        except OSError as error:
            raise exception.ConfigurationError(f"[k8s_client] k8s_token_file: {error}") from error
        return {"Authorization": f"Bearer {token}"}


def is_name(text: Any) -> bool:
    """Return whether a value can be the name of an object."""
    return isinstance(text, str) and _SUBDOMAIN.fullmatch(text) is not None


def _checked(name: str) -> str:
    if not is_name(name):
        raise exception.InvalidInput(f"{str(name)[:255]!r} is not a name in Kubernetes")
    return name


def _has_name(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("metadata"), dict) and is_name(item["metadata"].get("name"))


def _body(response: Any) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _misunderstood("it is not a JSON object")
    return body


def _misunderstood(why: str) -> exception.Unavailable:
    return exception.Unavailable(f"the response of Kubernetes cannot be understood: {why}")
