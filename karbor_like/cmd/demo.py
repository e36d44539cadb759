"""Demonstration: protect a volume, delete it, restore it, and compare it bit for bit.

Everything runs in one directory: a sandbox cloud with real data, and ``karbor-like-allinone`` on it. The demonstration acts
as a tenant, with the cloud's clients and the public REST API. It needs neither root nor a server.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import tenacity
from cinderclient import client as cinder
from keystoneauth1 import adapter
from rich import console, filesize, progress, table

from karbor_like import exception
from karbor_like.cmd import embedded
from karbor_like.domain.resource import VOLUME
from karbor_like.sandbox.cloud import Connection

_MIB: Final = 1 << 20
_RANDOM_MIB: Final = 128
_PATIENCE: Final = 120
_OUT = console.Console(highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    :returns: exit code, 0 if the restored volume equals the deleted one
    """
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--serve", action="store_true", help="keep the services running until Ctrl-C, and print how to use them"
    )
    parser.add_argument("--directory", type=Path, help="store everything in this directory (default: a temporary one)")
    options = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        directory = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="karbor_like-")))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment, process = stack.enter_context(_allinone(directory))
        code = _Demo(_auth_url(environment)).run()
        if options.serve:
            _OUT.print("\nThe services run until Ctrl-C. To use them from another terminal:\n")
            _OUT.print("    pip install python-openstackclient python-karborclient 'osc-lib<4'")
            _OUT.print("\n".join(f"    {line}" for line in environment.splitlines()), soft_wrap=True)
            _OUT.print("    openstack data protection provider list\n")
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    return code


@contextlib.contextmanager
def _allinone(directory: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run all services on a sandbox in *directory*; yield the environment that they print, and their process."""
    command = [sys.executable, "-W", "ignore", "-m", "karbor_like.cmd.allinone", "--sandbox", str(directory)]
    with (directory / "allinone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - our own command
    try:
        yield _read_environment(process, directory / "allinone.log"), process
    finally:
        process.terminate()
        process.wait()


def _read_environment(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if "OS_USER_DOMAIN_ID" in line:
            return "\n".join(lines)
    raise exception.Unavailable(f"the services did not start; the end of {log}:\n{log.read_text()[-2000:]}")


def _auth_url(environment: str) -> str:
    values = dict(word.split("=", 1) for word in environment.split() if "=" in word)
    return values["OS_AUTH_URL"]


def _until(get: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: not done(result)),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(_PATIENCE),
    )(get)


class _Demo:
    """A tenant of the sandbox at *auth_url*."""

    def __init__(self, auth_url: str) -> None:
        self._cloud = Connection(auth_url.removesuffix("/identity/v3"))
        session = self._cloud.session("alice")
        self._cinder = cinder.Client("3.43", session=session)
        self._api = adapter.Adapter(session, service_type="data-protect")
        self._laps: dict[str, float] = {}

    def run(self) -> int:
        """Protect a volume, delete it, restore it and compare.

        :returns: 0 if the restored volume equals the deleted one
        """
        volume = self._lap("volume created", self._create_volume)
        before = self._cloud.volume_digest(volume.id)
        _OUT.print(f"volume data-1: 1 GiB, {_RANDOM_MIB} MiB of it random, sha256 {before[:16]}…")
        plan = self._create_plan(volume)
        checkpoint = self._lap("protected", lambda: self._protect(plan))
        self._cinder.volumes.delete(volume.id)
        _until(self._cinder.volumes.list, lambda volumes: volume.id not in {other.id for other in volumes})
        _OUT.print("volume deleted")
        restored = self._lap("restored", lambda: self._restore(checkpoint))
        after = self._cloud.volume_digest(restored)
        self._show(checkpoint, before, after)
        return 0 if after == before else 1

    def _lap(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        result = work()
        self._laps[name] = time.monotonic() - start
        return result

    def _create_volume(self) -> Any:
        created = self._cinder.volumes.create(1, name="data-1", metadata={"role": "db"})
        volume = _until(lambda: self._cinder.volumes.get(created.id), lambda volume: volume.status == "available")
        source = random.Random(1)  # noqa: S311 - reproducible data, not secrets
        self._cloud.write_volume(volume.id, (source.randbytes(_MIB) for _ in range(_RANDOM_MIB)))
        return volume

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return self._api.request(path, method, json=body).json()

    def _create_plan(self, volume: Any) -> dict[str, Any]:
        resources = [{"type": VOLUME, "id": volume.id, "name": volume.name}]
        plan = {"name": "demo", "provider_id": embedded.FILES_PROVIDER, "parameters": {}, "resources": resources}
        return self._call("POST", "/plans", {"plan": plan})["plan"]

    def _protect(self, plan: dict[str, Any]) -> dict[str, Any]:
        path = f"/providers/{embedded.FILES_PROVIDER}/checkpoints"
        checkpoint_id = self._call("POST", path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]["id"]
        return self._follow(
            "protecting", lambda: self._call("GET", f"{path}/{checkpoint_id}")["checkpoint"], "available"
        )

    def _restore(self, checkpoint: dict[str, Any]) -> str:
        body = {"provider_id": embedded.FILES_PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore_id = self._call("POST", "/restores", {"restore": body})["restore"]["id"]
        restore = self._follow(
            "in_progress", lambda: self._call("GET", f"/restores/{restore_id}")["restore"], "success"
        )
        (key,) = restore["resources_status"]
        return key.partition("#")[2]

    def _follow(self, busy: str, get: Callable[[], dict[str, Any]], wanted: str) -> dict[str, Any]:
        """Show the progress of an object, in bytes, until its status is no longer *busy*.

        :raises ResourceFailed: the object ended in another status than *wanted*
        """
        columns = (
            progress.TextColumn("{task.description:>12}"),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TransferSpeedColumn(),
        )
        with progress.Progress(*columns, console=_OUT) as bar:
            task = bar.add_task(busy.replace("in_progress", "restoring"), total=None)

            def poll() -> dict[str, Any]:
                shown = get()
                bar.update(task, completed=shown["progress"]["bytes_done"], total=shown["progress"]["bytes_total"])
                return shown

            ended = _until(poll, lambda shown: shown["status"] != busy)
        if ended["status"] != wanted:
            raise exception.ResourceFailed(
                f"{ended['id']}: ended in status {ended['status']!r}, expected {wanted!r}: {ended['reason']}"
            )
        return ended

    def _show(self, checkpoint: dict[str, Any], before: str, after: str) -> None:
        rows = table.Table(table.Column(no_wrap=True), table.Column(overflow="fold"), show_header=False)
        for name in ("logical_bytes", "new_bytes", "stored_bytes"):
            rows.add_row(name.replace("_bytes", " size"), filesize.decimal(checkpoint[name]))
        for name, seconds in self._laps.items():
            rows.add_row(name, f"in {seconds:.1f} s")
        rows.add_row("sha256 before", before)
        rows.add_row("sha256 after", after)
        rows.add_row("restored volume", "identical, bit for bit" if before == after else "[red]DIFFERENT[/red]")
        _OUT.print(rows)


if __name__ == "__main__":
    sys.exit(main())
