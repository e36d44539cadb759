"""A Neutron without HTTP, and its callers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib import parse

import pytest
import webob

from karbor_like.clock import SystemClock
from karbor_like.sandbox import errors, faults, state, web
from karbor_like.sandbox.network.service import NetworkService

ADMIN, ALICE, BOB = "0" * 31 + "1", "0" * 31 + "2", "0" * 31 + "3"
Values = dict[str, Any]


class Caller:
    """One user of Neutron."""

    def __init__(self, service: NetworkService, project_id: str, role: str) -> None:
        self._service = service
        self.project_id = project_id
        self._identity = web.Identity("user", "user", project_id, frozenset({role}), "token")

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """Make a request, and return status and body."""
        path = f"/v2.0/{path}"
        arguments = {"json": body} if body is not None else {}
        text = parse.urlencode(query, doseq=True)
        request = webob.Request.blank(f"{path}?{text}", method=method, **arguments)
        call = web.Call(request, path, faults.Strikes(), lambda _: errors.ShortBody(""))
        call.identity = self._identity
        try:
            route, found = self._service.find(method, path)
            response = route.handler(call, **found)
        except errors.ApiError as error:
            response = self._service.render(error)
        return response.status_int, json.loads(response.body) if response.body else None

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make a request that succeeds, and return the body."""
        status, answer = self.call(method, path, body, **query)
        assert status < 300, (method, path, status, answer)
        return answer

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """Make a request that is refused, and return the status and the type of the error."""
        status, answer = self.call(method, path, body, **query)
        assert status >= 400, (method, path, status, answer)
        assert answer["NeutronError"]["message"]
        return status, answer["NeutronError"]["type"]

    def make(self, kind: str, **values: Any) -> Values:
        """Create an object."""
        return self.ok("POST", path_of(kind), {kind: values})[kind]

    def cannot_make(self, kind: str, **values: Any) -> tuple[int, str]:
        return self.refused("POST", path_of(kind), {kind: values})

    def set(self, kind: str, key: str, **values: Any) -> Values:
        return self.ok("PUT", f"{path_of(kind)}/{key}", {kind: values})[kind]

    def cannot_set(self, kind: str, key: str, **values: Any) -> tuple[int, str]:
        return self.refused("PUT", f"{path_of(kind)}/{key}", {kind: values})

    def show(self, kind: str, key: str) -> Values:
        return self.ok("GET", f"{path_of(kind)}/{key}")[kind]

    def all(self, kind: str, **query: Any) -> list[Values]:
        path = path_of(kind)
        return self.ok("GET", path, **query)[path.replace("-", "_")]

    def drop(self, kind: str, key: str) -> None:
        self.ok("DELETE", f"{path_of(kind)}/{key}")

    def cannot_drop(self, kind: str, key: str) -> tuple[int, str]:
        return self.refused("DELETE", f"{path_of(kind)}/{key}")

    def subnet(self, network_id: str, cidr: str = "10.0.0.0/24", **values: Any) -> Values:
        return self.make("subnet", network_id=network_id, cidr=cidr, **{"ip_version": 4, **values})


def path_of(kind: str) -> str:
    return f"{kind.replace('_', '-')}s" if kind.startswith("security") else f"{kind}s"


class Neutron:
    """All callers of one Neutron."""

    def __init__(self, store: state.Store) -> None:
        service = NetworkService(store, SystemClock())
        self.admin = Caller(service, ADMIN, "admin")
        self.alice = Caller(service, ALICE, "member")
        self.bob = Caller(service, BOB, "member")


@pytest.fixture
def neutron(tmp_path: Path) -> Iterator[Neutron]:
    store = state.Store(tmp_path / "state.sqlite")
    yield Neutron(store)
    store.close()


@pytest.fixture
def alice(neutron: Neutron) -> Caller:
    return neutron.alice


@pytest.fixture
def bob(neutron: Neutron) -> Caller:
    return neutron.bob


@pytest.fixture
def admin(neutron: Neutron) -> Caller:
    return neutron.admin


@pytest.fixture
def network(alice: Caller) -> Values:
    """A network of Alice."""
    return alice.make("network", name="inner")


@pytest.fixture
def subnet(alice: Caller, network: Values) -> Values:
    """The subnet 10.0.0.0/24 of Alice's network."""
    return alice.subnet(network["id"])


@pytest.fixture
def outside(admin: Caller) -> Values:
    """The external network, with the subnet 203.0.113.0/24."""
    made = admin.make("network", name="public", **{"router:external": True})
    admin.subnet(made["id"], "203.0.113.0/24")
    return made


@pytest.fixture
def router(alice: Caller, subnet: Values, outside: Values) -> Values:
    """Alice's router between her subnet and the external network."""
    made = alice.make("router", name="edge", external_gateway_info={"network_id": outside["id"]})
    alice.ok("PUT", f"routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    return made
