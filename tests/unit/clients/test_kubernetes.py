"""The client of Kubernetes, against an HTTP server with responses from the test."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients import kubernetes
from karbor_like.clients.errors import translated
from karbor_like.conf import opts
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

PODS = "/api/v1/namespaces/shop/pods"


class Peer:
    """A server that answers with what the test sets."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Any] = lambda request: {}
        self.status = 200

    def __call__(self, request: Request) -> Answer:
        found = self.answer(request)
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        return Answer(self.status, {"Content-Type": "application/json"}, body)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def server(peer: Peer) -> Iterator[scripted.Server]:
    with scripted.serving(peer) as server:
        yield server


@pytest.fixture
def conf(server: scripted.Server) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    opts.register(conf)
    conf.set_override("k8s_host", f"{server.url}/", "k8s_client")
    conf.set_override("namespaces", {"p": "shop"}, "pod_protectable")
    return conf


@pytest.fixture
def client(conf: cfg.ConfigOpts) -> kubernetes.Kubernetes:
    client = kubernetes.connect(conf, "p")
    assert client is not None
    return client


def pod(name: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def test_pages(client: kubernetes.Kubernetes, peer: Peer, server: scripted.Server) -> None:
    pages = {
        f"{PODS}?limit=500": {"items": [pod("a")], "metadata": {"continue": "n"}},
        f"{PODS}?limit=500&continue=n": {"items": [pod("b")], "metadata": {}},
    }
    peer.answer = lambda request: pages[request.path]
    assert client.pods() == [pod("a"), pod("b")]
    assert len(server.requests) == 2


def test_a_list_without_end_is_refused(
    client: kubernetes.Kubernetes, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "MAX_OBJECTS", 4)
    peer.answer = lambda request: {"items": [pod("a")], "metadata": {"continue": "n"}}
    with pytest.raises(exception.ResourceFailed, match="namespace shop has more than 4 pods"):
        client.pods()


@pytest.mark.parametrize(
    "body", [b"<html>", [], {}, {"items": 7}, {"items": [pod(7)]}, {"items": [pod("../x")]}, {"items": [7]}]
)
def test_responses_that_cannot_be_understood(client: kubernetes.Kubernetes, peer: Peer, body: Any) -> None:
    peer.answer = lambda request: body
    with pytest.raises(exception.Unavailable, match="response of Kubernetes cannot be understood"):
        client.pods()


@pytest.mark.parametrize("name", ["", "..", "../../secrets/x", "a/b", "a?b", "A", "-a", "a" * 254])
def test_names_that_could_leave_the_namespace(
    client: kubernetes.Kubernetes, server: scripted.Server, name: str
) -> None:
    for call in (client.pod, client.claim, client.volume, lambda given: client.delete_pod(given, "uid")):
        with pytest.raises(exception.InvalidInput, match="is not a name in Kubernetes"):
            call(name)
    assert server.requests == []


def test_what_kubernetes_says_of_an_error(client: kubernetes.Kubernetes, peer: Peer) -> None:
    peer.status = 409
    peer.answer = lambda request: {"kind": "Status", "message": 'pods "a" already exists', "reason": "AlreadyExists"}
    with (
        pytest.raises(exception.Conflict, match='creating a pod: pods "a" already exists'),
        translated("creating a pod"),
    ):
        client.create_pod({})


@pytest.mark.parametrize(
    ("project", "expected"),
    [("p", "shop"), ("0" * 32, f"project-{'0' * 32}"), (None, None), ("", None)],
)
def test_namespaces(conf: cfg.ConfigOpts, project: str | None, expected: str | None) -> None:
    conf.set_override("namespace", "project-%(project_id)s", "pod_protectable")
    assert kubernetes.namespace_of(conf, project) == expected


@pytest.mark.parametrize("project", ["../x", "x" * 64, "a b", "A"])
def test_projects_whose_id_cannot_be_in_a_namespace(conf: cfg.ConfigOpts, project: str) -> None:
    conf.set_override("namespace", "project-%(project_id)s", "pod_protectable")
    with pytest.raises(exception.ConfigurationError, match="cannot be the name of a namespace"):
        kubernetes.connect(conf, project)


@pytest.mark.parametrize("namespace", ["default", "%(project_name)s", "$project_id", "a/%(project_id)s"])
def test_namespaces_that_projects_would_share(conf: cfg.ConfigOpts, namespace: str) -> None:
    with pytest.raises(ValueError, match="regex"):
        conf.set_override("namespace", namespace, "pod_protectable")


def test_without_a_host(conf: cfg.ConfigOpts) -> None:
    conf.clear_override("k8s_host", "k8s_client")
    assert kubernetes.connect(conf, "p") is None


def test_a_token_that_cannot_be_read(conf: cfg.ConfigOpts) -> None:
    conf.set_override("k8s_token_file", "/nonexistent", "k8s_client")
    client = kubernetes.connect(conf, "p")
    assert client is not None
    with pytest.raises(exception.ConfigurationError, match="k8s_token_file"):
        client.pods()
