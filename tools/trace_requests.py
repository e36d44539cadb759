"""Trace a protect, a restore and a scheduled run, and write the files that they enter to the contributor's guide.

``python tools/trace_requests.py`` starts all services and a sandbox cloud in this process, sends the requests with a
profiler attached, and writes ``doc/source/contributor/walks.rst``.
"""

import contextlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "karbor_like"
PAGE: Final = ROOT / "doc" / "source" / "contributor" / "walks.rst"

_RULE: Final = (
    "Requests enter many files. A careful reader needs the *backbone*: the files that decide what this request does, to",
    "which objects, in which order, and what survives a crash. The reader takes the other files at their word:",
)
_CONTINUATION: Final = (
    "The operation engine protects through the REST API, so that this request continues like *Protect*. "
    "The table has only the part of the engine."
)

#: Files that a careful reader takes at their word, by the reason. A path that ends in a slash is a whole package.
HELPERS: Final = {
    "names, schemas, options and tables": (
        "api/context.py",
        "api/schemas/",
        "api/views.py",
        "conf/",
        "context.py",
        "db/models/",
        "domain/operation.py",
        "domain/resource.py",
        "domain/states.py",
        "policies/",
        "protection/context.py",
        "protection/operation/spec.py",
    ),
    "contracts of plugins, and registries that find them": (
        "plugins/loader.py",
        "plugins/operation.py",
        "plugins/protectable.py",
        "plugins/protection.py",
        "protection/registry/",
        "triggers/contract.py",
        "triggers/loader.py",
    ),
    "checks and conversion of single values": (
        "api/body.py",
        "api/controllers/routing.py",
        "api/errors.py",
        "api/paging.py",
        "api/progress.py",
        "api/request.py",
        "api/validation.py",
        "domain/coercion.py",
        "domain/copies.py",
        "domain/graph.py",
        "domain/left_out.py",
        "domain/planned.py",
        "exception.py",
        "plugins/cinder/metadata.py",
        "plugins/cinder/protectable.py",
        "plugins/glance/content.py",
        "plugins/glance/integrity.py",
        "secret.py",
        "triggers/formats/",
        "triggers/zones.py",
    ),
    "plumbing": (
        "api/app.py",
        "api/bulkhead.py",
        "api/callers.py",
        "api/controllers/base.py",
        "api/middleware.py",
        "api/root.py",
        "api/server.py",
        "clock.py",
        "db/",
        "deadline.py",
        "heartbeat.py",
        "logs.py",
        "metrics/",
        "policy.py",
        "protection/banks.py",
        "protection/endpoint.py",
        "protection/operation/lazy.py",
        "protection/operation/outage.py",
        "protection/operation/progress.py",
        "protection/operation/results.py",
        "protection/operation/waiting.py",
        "protection/rates.py",
        "protection/service.py",
        "protection/slots.py",
        "protection/workflow/",
        "rate.py",
        "rpc/",
        "service.py",
        "shared.py",
        "watchdog.py",
        "webserver.py",
    ),
    "libraries: the bank except for its checkpoints, the clients of OpenStack, the toolkit of plugins": (
        "bank/bank.py",
        "bank/blocks/",
        "bank/checkpoints/claims.py",
        "bank/checkpoints/events.py",
        "bank/checkpoints/index.py",
        "bank/checkpoints/plans.py",
        "bank/checkpoints/versions.py",
        "bank/collector/",
        "bank/errors.py",
        "bank/format/",
        "bank/keys/",
        "bank/layout.py",
        "bank/leases/",
        "bank/objectstore/",
        "bank/options.py",
        "clients/",
        "plugins/cinder/kept.py",
        "plugins/cinder/objects.py",
        "plugins/cinder/restored.py",
        "plugins/cinder/source.py",
        "plugins/cinder/upload.py",
        "plugins/cinder/volume_data.py",
        "plugins/glance/objects.py",
        "plugins/toolkit/",
    ),
}

_RUN: Final = "The run of the operation"
_REQUEST: Final = ("The API", "The call of the protection service", _RUN)
_ENGINE: Final = "The operation engine"
#: Functions that threads enter for other reasons than the request.
_BACKGROUND: Final = ("_beat", "_clean", "_renew")

#: The leg that a thread works for, by the first file that it enters. None: not for the request.
_LEGS: Final = {
    "api/": "The API",
    "operationengine/": _ENGINE,
    "protection/endpoint.py": "The call of the protection service",
    "protection/service.py": None,
    "protection/housekeeping.py": None,
    "sandbox/": None,
    "service.py": "",
    "rpc/": "",
    "secret.py": "",
}
#: Seconds that a request may take on a busy machine.
_PATIENCE: Final = 900
_VOLUME_BYTES: Final = 4 << 20
_SHOWN: Final = 4


@dataclass
class Walk:
    """The functions that one request enters, by leg and file, in order of first entry.

    :param wanted: the legs that belong to the request
    """

    title: str
    wanted: Collection[str]
    legs: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, leg: str, path: str, function: str) -> None:
        """Record that *function* is entered."""
        if leg not in self.wanted:
            return
        functions = self.legs.setdefault(leg, {}).setdefault(path, [])
        if function not in functions:
            functions.append(function)

    def files(self) -> set[str]:
        """Return every file that was entered."""
        return {path for leg in self.legs.values() for path in leg}


class _Thread(threading.local):
    """The leg of the current thread, and the frame whose return ends it."""

    leg: str | None = None
    root: FrameType | None = None


class Tracer:
    """A profile function that records calls of functions of the package while a walk is set."""

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self._thread = _Thread()
        self._places: dict[CodeType, tuple[str, str] | None] = {}
        self._main = threading.get_ident()
        self._lock = threading.Lock()
        self._busy = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """See :func:`sys.setprofile`."""
        if event == "call":
            if (place := self._place(frame.f_code)) is not None:
                self._called(frame, *place)
        elif event == "return" and frame is self._thread.root:
            self._thread.root = None
            self._count(-1)

    def _count(self, change: int) -> None:
        """Count the threads that work for the request now."""
        if self.walk is not None and self._thread.leg in self.walk.wanted:
            with self._lock:
                self._busy += change

    def _place(self, code: CodeType) -> tuple[str, str] | None:
        """Return the file and the function of *code*; None outside of the package and in unnamed code."""
        if code not in self._places:
            path, name = Path(code.co_filename), code.co_qualname
            if path.is_relative_to(PACKAGE) and not name.endswith(">"):
                self._places[code] = path.relative_to(PACKAGE).as_posix(), name.split(".<locals>")[0]
            else:
                self._places[code] = None
        return self._places[code]

    def _called(self, frame: FrameType, path: str, function: str) -> None:
        thread = self._thread
        if threading.get_ident() == self._main:
            return
        if thread.root is None:
            leg = next((leg for prefix, leg in _LEGS.items() if path.startswith(prefix)), _RUN)
            if function.rpartition(".")[2] in _BACKGROUND:
                leg = None
            if leg == "":
                return
            if path.startswith("sandbox/"):
                sys.setprofile(None)
                return
            thread.root, thread.leg = frame, leg
            self._count(1)
        walk = self.walk
        if walk is not None and thread.leg is not None and not function.rpartition(".")[2].startswith("__"):
            walk.add(thread.leg, path, function)

    @contextlib.contextmanager
    def recording(self, title: str, wanted: Collection[str]) -> Iterator[Walk]:
        """Record a walk until the block ends."""
        self._busy = 0
        walk = self.walk = Walk(title, wanted)
        try:
            yield walk
            Site.wait(lambda: self._busy <= 0)
        finally:
            self.walk = None


class Site:
    """All services in this process on a sandbox cloud, and a tenant of it."""

    def __init__(self, directory: Path) -> None:
        from karbor_like.cmd import embedded
        from karbor_like.sandbox.cloud import Sandbox

        self._directory = directory
        self._provider = embedded.FILES_PROVIDER
        self._database = directory / "karbor_like.sqlite"
        self._services: list[Any] = []
        self.cloud = Sandbox(directory / "cloud")

    def start(self) -> None:
        """Create the database, start the services, and publish the API in the catalog of the cloud."""
        # After the profiler is attached: threads that these modules start are traced.
        from keystoneauth1 import adapter

        from karbor_like import service
        from karbor_like.api.server import ApiService
        from karbor_like.cmd import embedded
        from karbor_like.operationengine.service import OperationEngine
        from karbor_like.plugins.cinder.volume_glance import VolumeGlanceProtection
        from karbor_like.protection.service import ProtectionService
        from karbor_like.rpc import transport

        # A few bytes per GiB are enough: the walk does not depend on the size.
        VolumeGlanceProtection.gib = _VOLUME_BYTES
        self.cloud.settings(gib=_VOLUME_BYTES)
        path = embedded.write(self._directory, self.cloud.credentials("karbor"))
        command = [sys.executable, "-m", "karbor_like.cmd.manage", "--config-file", str(path), "db", "sync"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own
        conf = service.prepare(["--config-file", str(path), "--log-file", str(self._directory / "log")])
        conf.set_override("provider_config_dir", str(self._directory / "providers.d"), group="protection")
        # Services are notified of requests. Without polls in between, the order of first entry is that of the request.
        conf.set_override("poll_interval", 3600, group="protection")
        conf.set_override("poll_interval", 5, group="operationengine")
        conf.set_override("follow_interval", 1, group="operationengine")
        transport.stay_inside(conf)
        api = ApiService(conf)
        for process in (ProtectionService(conf), OperationEngine(conf), api):
            process.start()
            self._services.append(process)
        host, port = api.address
        self.cloud.settings(endpoints={"data-protect": f"http://{host}:{port}/v1/%(project_id)s"})
        self._api = adapter.Adapter(self.cloud.session("alice"), service_type="data-protect")

    def close(self) -> None:
        """Stop everything."""
        for process in reversed(self._services):
            process.stop(graceful=True)
        self.cloud.close()

    def volume(self) -> Any:
        """Return a new volume of the tenant with some random content."""
        from cinderclient import client as cinder

        volumes = cinder.Client("3.43", session=self.cloud.session("alice")).volumes
        volume = volumes.create(1, name="data-1", metadata={"role": "db"})
        self.wait(lambda: volumes.get(volume.id).status == "available")
        self.cloud.write_volume(volume.id, bytes(range(256)) * 4096)
        return volume

    def plan(self, volume: Any) -> str:
        """Return the id of a new plan for *volume*."""
        resources = [{"type": "OS::Cinder::Volume", "id": volume.id, "name": volume.name}]
        body = {"name": "walk", "provider_id": self._provider, "parameters": {}, "resources": resources}
        return self.post("/plans", {"plan": body})["plan"]["id"]

    def protect(self, plan_id: str) -> str:
        """Protect a plan. Return the id of the checkpoint when it is available."""
        body = {"checkpoint": {"plan_id": plan_id}}
        checkpoint = self.post(f"/providers/{self._provider}/checkpoints", body)["checkpoint"]["id"]
        self.wait(lambda: self.query("SELECT ended_at FROM operations WHERE checkpoint_id = ?", checkpoint) is not None)
        return checkpoint

    def restore(self, checkpoint_id: str) -> None:
        """Restore a checkpoint, until the restore has ended."""
        body = {"provider_id": self._provider, "checkpoint_id": checkpoint_id, "parameters": {}}
        restore = self.post("/restores", {"restore": body})["restore"]["id"]
        self.wait(lambda: self.query("SELECT ended_at FROM operations WHERE restore_id = ?", restore) is not None)

    def schedule(self, plan_id: str) -> str:
        """Return the id of a trigger that runs retention_protect for a plan, at night."""
        properties = {"format": "crontab", "pattern": "0 1 * * *"}
        body = {"trigger_info": {"name": "walk", "type": "time", "properties": properties}}
        trigger = self.post("/triggers", body)["trigger_info"]["id"]
        definition = {"provider_id": self._provider, "plan_id": plan_id, "max_backups": "1"}
        operation = {"name": "walk", "operation_type": "retention_protect", "trigger_id": trigger}
        operation["operation_definition"] = definition
        self.post("/scheduled_operations", {"scheduled_operation": operation})
        return trigger

    def fire(self, trigger_id: str) -> None:
        """Make a trigger due now, and wait until its run has ended."""
        self.query("UPDATE triggers SET next_run_at = ? WHERE id = ?", f"{datetime.now(UTC):%F %T}.000000", trigger_id)
        self.wait(lambda: self.query("SELECT ended_at FROM scheduled_runs") is not None)

    def post(self, path: str, body: Any) -> Any:
        """Return the answer of the API to a POST."""
        return self._api.post(path, json=body).json()

    def query(self, statement: str, *values: str) -> Any:
        """Return the first column of the first row that the database has for *statement*."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=30)) as connection, connection:
            row = connection.execute(statement, values).fetchone()
        return row[0] if row else None

    @staticmethod
    def wait(is_done: Callable[[], bool]) -> None:
        """Wait until *is_done*. Raises TimeoutError."""
        end = time.monotonic() + _PATIENCE
        while not is_done():
            if time.monotonic() > end:
                raise TimeoutError("the request did not end")
            time.sleep(0.1)


def trace() -> list[Walk]:
    """Return the walks of a protect, a restore and a scheduled run."""
    tracer = Tracer()
    threading.setprofile(tracer)
    with tempfile.TemporaryDirectory(prefix="karbor_like-") as directory:
        site = Site(Path(directory))
        try:
            site.start()
            plan = site.plan(site.volume())
            with tracer.recording("Protect", _REQUEST) as protect:
                checkpoint = site.protect(plan)
            with tracer.recording("Restore", _REQUEST) as restore:
                site.restore(checkpoint)
            trigger = site.schedule(plan)
            with tracer.recording("Scheduled run", (_ENGINE,)) as scheduled:
                site.fire(trigger)
        finally:
            threading.setprofile(None)
            site.close()
    return [protect, restore, scheduled]


def is_helper(path: str) -> bool:
    """Whether a careful reader takes a file at its word."""
    return any(path == helper or (helper.endswith("/") and path.startswith(helper)) for helper in _helpers())


def _helpers() -> Iterator[str]:
    for paths in HELPERS.values():
        yield from paths


def render(walks: Sequence[Walk]) -> str:
    """Return the page."""
    lines = [
        ".. This file is generated by ``python tools/trace_requests.py``. Do not edit it.",
        "",
        *_RULE,
        "",
        *(f"* {reason}: {', '.join(f'``{path}``' for path in paths)}" for reason, paths in HELPERS.items()),
        "",
        "Paths are relative to ``karbor_like``. Files are in the order of their first entry.",
        "",
    ]
    for walk in walks:
        backbone = [path for path in walk.files() if not is_helper(path)]
        lines += [walk.title, "-" * len(walk.title), ""]
        lines += [f"This request enters {len(walk.files())} files. The backbone has {len(backbone)}.", ""]
        lines += _table(walk)
    lines += [_CONTINUATION, ""]
    return "\n".join(lines)


def _table(walk: Walk) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 35 45", ""]
    lines += ["   * - Part", "     - File", "     - Functions"]
    for leg in walk.wanted:
        shown = leg
        for path, functions in walk.legs.get(leg, {}).items():
            if not is_helper(path):
                public = [name for name in functions if not re.search(r"(^|\.)_", name)]
                names = ", ".join(f"``{name}``" for name in (public or functions)[:_SHOWN])
                lines += [f"   * - {shown}".rstrip(), f"     - ``{path}``", f"     - {names}"]
                shown = ""
    return [*lines, ""]


def main() -> None:
    """Trace the requests and write the page."""
    PAGE.write_text(render(trace()))


if __name__ == "__main__":
    main()
