"""A cloud without servers: Keystone and the API answer from :mod:`responses`."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import openstack
import pytest
import responses
from openstackclient import shell
from responses import matchers

import karbor_like_client
from samples import API, AUTH_URL, CREDENTIALS, PROJECT


def _service(kind: str, url: str) -> dict[str, Any]:
    endpoint = {"id": kind, "interface": "public", "region": None, "region_id": None, "url": url}
    return {"id": kind, "type": kind, "name": kind, "endpoints": [endpoint]}


@dataclass
class FakeCloud:
    """Answers of Keystone and of the API."""

    mock: responses.RequestsMock
    endpoint: bool = True
    sent: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Prepare Keystone."""
        catalog = [_service("identity", AUTH_URL)] + ([_service("data-protect", API)] if self.endpoint else [])
        domain = {"id": "default", "name": "Default"}
        token = {
            "methods": ["password"],
            "user": {"id": "u" * 32, "name": "alice", "domain": domain},
            "project": {"id": PROJECT, "name": "project", "domain": domain},
            "roles": [{"id": "m", "name": "member"}],
            "catalog": catalog,
            "issued_at": "2031-01-01T00:00:00.000000Z",
            "expires_at": "2999-01-01T00:00:00.000000Z",
        }
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": AUTH_URL}]}
        self.mock.get(AUTH_URL, json={"version": version})
        self.mock.post(f"{AUTH_URL}/auth/tokens", json={"token": token}, headers={"X-Subject-Token": "token"})

    def answer(self, method: str, path: str, body: Any = None, /, **query: str) -> responses.BaseResponse:
        """Let the API answer a request; *query* are parameters that it must have."""
        match = [matchers.query_param_matcher(query, strict_match=False)] if query else []
        return self.mock.add(method, f"{API}{path}", json=body, match=match)

    def refuse(self, method: str, path: str, status: int, type_: str | None, message: str, **more: Any) -> None:
        """Let the API answer a request with an error."""
        error = {"code": status, "message": message, **({"type": type_} if type_ else {}), **more}
        headers = {"x-openstack-request-id": "req-1"}
        self.mock.add(method, f"{API}{path}", json={"itemNotFound": error}, status=status, headers=headers)

    def bodies(self, method: str) -> list[Any]:
        """Return the bodies that the API received."""
        calls = [call.request for call in self.mock.calls if (call.request.url or "").startswith(API)]
        return [json.loads(call.body) for call in calls if call.method == method and call.body]


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fake = FakeCloud(mock)
        fake.start()
        yield fake


@pytest.fixture
def proxy(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service of a connection."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    auth = {name.removeprefix("OS_").lower(): value for name, value in CREDENTIALS.items()}
    return karbor_like_client.add_to(openstack.connect(load_yaml_config=False, load_envvars=False, auth=auth))


@dataclass
class Result:
    """What a command printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output of ``-f json``."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def run(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``openstack data protection ...`` in this process, or another command *of* ``openstack``."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, of: str = "data protection") -> Result:
        out, err, root = io.StringIO(), io.StringIO(), logging.getLogger()
        level = root.level
        with monkeypatch.context() as patch:
            # The shell adds a handler and sets the level. Handlers of other tests may write to files that are closed.
            patch.setattr(root, "handlers", [])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                code = shell.main([*of.split(), *arguments])
            except SystemExit as error:
                code = int(error.code or 0)
            finally:
                root.setLevel(level)
        return Result(code, out.getvalue(), err.getvalue())

    return call
