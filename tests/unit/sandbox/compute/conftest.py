"""A Nova without HTTP, with the Glance, Cinder and Neutron that it uses, and its callers."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib import parse

import pytest
import webob

from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.compute.service import ComputeService
from karbor_like.sandbox.image.images import Images
from karbor_like.sandbox.network.service import NetworkService
from karbor_like.sandbox.volume import messages, quotas, records
from karbor_like.sandbox.volume.snapshots import Snapshots
from karbor_like.sandbox.volume.volumes import Volumes
from tests.unit.sandbox.network import conftest as network

Values = dict[str, Any]
GIB = 1 << 16
"""Actual bytes of a volume of 1 GiB in these tests."""


class Cloud:
    """The services on one state directory."""

    def __init__(self, path: Path) -> None:
        self.store = state.Store(path / "state.sqlite")
        settings = state.Settings(job_delay=0.0, gib=GIB)
        clock = SystemClock()
        folders = {name: path / name for name in ("images", "volumes", "snapshots")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        self.jobs = jobs.Jobs(clock, settings)
        self.images = Images(self.store, folders["images"], clock, settings)
        self.quotas = quotas.Quotas(self.store)
        common = records.Common(self.store, clock, self.jobs, messages.Messages(self.store, clock), self.quotas)
        self.snapshots = Snapshots(common, folders["snapshots"])
        self.volumes = Volumes(common, folders["volumes"], self.images, self.snapshots)
        self.network = NetworkService(self.store, clock)
        self.service = ComputeService(
            self.store, clock, self.jobs, self.images, self.volumes, self.snapshots, self.network
        )
        self.images.recover()
        self.service.recover()

    def settle(self) -> None:
        """Wait for all background jobs."""
        for thread in threading.enumerate():
            if thread.name == "sandbox-job":
                thread.join(60)

    def close(self) -> None:
        self.jobs.stop()
        self.store.close()


class Caller:
    """One user of the cloud."""

    def __init__(self, cloud: Cloud, project_id: str, role: str, user_id: str | None = None) -> None:
        self.cloud = cloud
        self.neutron = network.Caller(cloud.network, project_id, role)
        self.identity = web.Identity(user_id or role + project_id, "user", project_id, frozenset({role}), "token")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "2.96",
        fault: faults.Fault | Values | None = None,
        **query: Any,
    ) -> tuple[int, Any, webob.Response]:
        """Make a request that a fault may strike, and return status, body and response."""
        full, _, text = path.partition("?")
        full = f"/v2.1/{full}"
        arguments = {"json": body} if body is not None else {}
        headers = {"X-OpenStack-Nova-API-Version": version}
        text = text or parse.urlencode(query, doseq=True)
        request = webob.Request.blank(f"{full}?{text}", method=method, headers=headers, **arguments)
        fault = faults.Fault(**fault) if isinstance(fault, dict) else fault
        strikes = faults.Strikes([fault] if fault else [])
        call = web.Call(request, parse.unquote(full), strikes, lambda _: errors.ShortBody(""))
        call.identity = self.identity
        try:
            route, found = self.cloud.service.find(method, parse.unquote(full))
            response = route.handler(call, **found)
        except errors.ApiError as error:
            response = self.cloud.service.render(error)
        return response.status_int, json.loads(response.body) if response.body else None, response

    def ok(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        """Make a request that succeeds, wait for its effects, and return the body."""
        status, answer, _ = self.call(method, path, body, **kwargs)
        assert status < 300, (method, path, status, answer)
        self.cloud.settle()
        return answer

    def refused(self, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, str]:
        """Make a request that is refused, and return status and message."""
        status, answer, _ = self.call(method, path, body, **kwargs)
        assert status >= 400, (method, path, status, answer)
        ((_, fault),) = answer.items()
        return status, fault["message"]

    def body(self, values: Values, hints: Values | None = None, version: str = "2.96") -> Values:
        """Return the body of a request to create a server: of :attr:`image`, without a network, unless given."""
        given = {"name": "web", "flavorRef": "1", **values}
        if "block_device_mapping_v2" not in values:
            given.setdefault("imageRef", self.image())
        if int(version.partition(".")[2]) >= 37:
            given.setdefault("networks", "none")
        given = {name: value for name, value in given.items() if value is not None}
        return {"server": given, **({"os:scheduler_hints": hints} if hints else {})}

    def boot(
        self,
        *,
        version: str = "2.96",
        fault: faults.Fault | Values | None = None,
        hints: Values | None = None,
        **values: Any,
    ) -> Values:
        """Create a server, wait for it, and return it."""
        body = self.body(values, hints, version)
        made = self.ok("POST", "servers", body, version=version, fault=fault)["server"]
        return self.server(made["id"])

    def cannot_boot(self, *, version: str = "2.96", hints: Values | None = None, **values: Any) -> tuple[int, str]:
        before = self.cloud.store.all("server")
        refused = self.refused("POST", "servers", self.body(values, hints, version), version=version)
        assert self.cloud.store.all("server") == before
        return refused

    def server(self, key: str, version: str = "2.96") -> Values:
        return self.ok("GET", f"servers/{key}", version=version)["server"]

    def servers(self) -> list[Values]:
        return self.ok("GET", "servers/detail")["servers"]

    def act(self, key: str, name: str, values: Any = None, **kwargs: Any) -> Any:
        """Carry out an action on a server."""
        return self.ok("POST", f"servers/{key}/action", {name: values}, **kwargs)

    def cannot_act(self, key: str, name: str, values: Any = None, **kwargs: Any) -> tuple[int, str]:
        return self.refused("POST", f"servers/{key}/action", {name: values}, **kwargs)

    def until_task(self, key: str, state: str) -> None:
        """Wait until a background job has set the state of the task of a server."""

        def shown() -> str | None:
            return self.call("GET", f"servers/{key}")[1]["server"]["OS-EXT-STS:task_state"]

        waiter = Waiter(SystemClock(), timeout=60, interval=0.002, max_interval=0.02)
        waiter.until(f"task {state}", shown, done=lambda found: found == state)

    def image(self, data: bytes = b"bytes", **values: Any) -> str:
        """Create an active image, and return its id."""
        given = {"name": "golden", "disk_format": "raw", "container_format": "bare", **values}
        made = self.cloud.images.create(self.identity, given)
        self.cloud.images.store_bytes(made["id"], io.BytesIO(data))
        return made["id"]

    def volume(self, size: int = 1, **values: Any) -> str:
        """Create an available volume, and return its id."""
        return self.cloud.volumes.create_now(self.identity, {"size": size, **values})["id"]

    def snapshot(self, volume_id: str) -> str:
        volume = self.cloud.volumes.get(self.identity, volume_id)
        path = self.cloud.volumes.path(volume_id)
        made = self.cloud.snapshots.create(self.identity, volume, {"force": True}, faults.Strikes(), path)
        self.cloud.settle()
        return made["id"]

    def cinder(self, volume_id: str) -> Values:
        """Return a volume as Cinder records it."""
        return self.cloud.volumes.get(self.identity, volume_id)

    def attachments(self, key: str, version: str = "2.96") -> list[Values]:
        return self.ok("GET", f"servers/{key}/os-volume_attachments", version=version)["volumeAttachments"]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return Caller(cloud, network.ALICE, "member")


@pytest.fixture
def bob(cloud: Cloud) -> Caller:
    return Caller(cloud, network.BOB, "member")


@pytest.fixture
def admin(cloud: Cloud) -> Caller:
    return Caller(cloud, network.ADMIN, "admin")


@pytest.fixture
def net(alice: Caller) -> Values:
    """A network of Alice with the subnet 10.0.0.0/24."""
    made = alice.neutron.make("network", name="inner")
    alice.neutron.subnet(made["id"])
    return made
