#!/usr/bin/env python3
"""Kill the protection service at random moments of protects and restores of a volume, and check that each is completed.

It acts as a tenant, with the account in the environment (OS_AUTH_URL, OS_USERNAME and so on), in a project made for this: it
creates checkpoints and volumes, and deletes them. The volume itself is only read. The script needs nothing of karbor_like but
the API. Something must start the service again: systemd, or the command after --start.
"""

import argparse
import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystoneauth1 import adapter, loading
from keystoneauth1 import session as ksa_session

VOLUME = "OS::Cinder::Volume"
_ENDED = ("available", "error", "success", "fail", "deleted", "error-deleting")
#: Seconds between two looks at an operation.
_PAUSE = 0.5


@dataclass(frozen=True)
class Kill:
    """A kill and what followed.

    :param after: seconds of the operation before the kill
    :param took: seconds of the whole operation
    :param made: id of the checkpoint or restore
    """

    operation: str
    after: float
    took: float
    status: str
    reason: str
    made: str

    @property
    def is_good(self) -> bool:
        return self.status in ("available", "success")


class Trial:
    """Operations on one volume, during which services are killed.

    :param kill: kills the protection service, and sees to it that it is started again
    :param seed: of the moments
    :param patience: seconds after which an operation counts as hung
    """

    def __init__(
        self,
        session: ksa_session.Session,
        provider_id: str,
        volume_id: str,
        kill: Callable[[], Any],
        *,
        seed: int | str,
        patience: float = 3600.0,
    ) -> None:
        self._api = adapter.Adapter(session, service_type="data-protect")
        self._cinder = adapter.Adapter(session, service_type="volumev3")
        self._glance = adapter.Adapter(session, service_type="image")
        self._project = session.get_project_id()
        self._provider = provider_id
        self._volume = volume_id
        self._kill = kill
        self._chance = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._patience = patience
        resource = {"type": VOLUME, "id": volume_id, "name": "killed"}
        body = {"name": "kills", "provider_id": provider_id, "parameters": {}, "resources": [resource]}
        self._plan = self._call("POST", "/plans", {"plan": body})["plan"]["id"]
        self._path = f"/providers/{provider_id}/checkpoints"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._api.request(path, method, json=body, connect_retries=20, status_code_retries=20)
        return answer.json() if answer.content else None

    def protects(self, count: int) -> list[Kill]:
        """Protect the volume once without a kill, and *count* times with one."""
        return self._killed("protect", count, self._protect)

    def restores(self, checkpoint_id: str, count: int, check: Callable[[str], Any] | None = None) -> list[Kill]:
        """Restore a checkpoint once without a kill, and *count* times with one. The new volumes are deleted.

        :param check: is called with the id of each new volume before that
        """
        return self._killed("restore", count, lambda: self._restore(checkpoint_id), check)

    def _killed(
        self,
        operation: str,
        count: int,
        begin: Callable[[], tuple[str, str]],
        check: Callable[[str], Any] | None = None,
    ) -> list[Kill]:
        usual = self._one(operation, begin, None, check)
        every = [self._chance.uniform(0, usual.took) for _ in range(count)]
        return [usual, *(self._one(operation, begin, moment, check) for moment in every)]

    def _one(
        self,
        operation: str,
        begin: Callable[[], tuple[str, str]],
        moment: float | None,
        check: Callable[[str], Any] | None,
    ) -> Kill:
        began = time.monotonic()
        key, path = begin()
        if moment is not None:
            time.sleep(max(0.0, began + moment - time.monotonic()))
            self._kill()
        shown = self._ended(key, path)
        took = time.monotonic() - began
        if operation == "restore" and shown["status"] == "success":
            for new in shown["resources_status"]:
                volume_id = new.partition("#")[2]
                if check is not None:
                    check(volume_id)
                self._delete_volume(volume_id)
        return Kill(operation, moment or 0.0, took, shown["status"], shown.get("reason") or "", shown["id"])

    def _protect(self) -> tuple[str, str]:
        made = self._call("POST", self._path, {"checkpoint": {"plan_id": self._plan}})["checkpoint"]
        return "checkpoint", f"{self._path}/{made['id']}"

    def _restore(self, checkpoint_id: str) -> tuple[str, str]:
        body = {"provider_id": self._provider, "checkpoint_id": checkpoint_id, "parameters": {}}
        made = self._call("POST", "/restores", {"restore": body})["restore"]
        return "restore", f"/restores/{made['id']}"

    def verify(self, checkpoint_id: str) -> Mapping[str, Any]:
        """Verify all bytes of a checkpoint. Return the verification."""
        body = {
            "provider_id": self._provider,
            "checkpoint_id": checkpoint_id,
            "parameters": {VOLUME: {"level": "full"}},
        }
        made = self._call("POST", "/verifications", {"verification": body})["verification"]
        return self._ended("verification", f"/verifications/{made['id']}")

    def delete(self, checkpoint_ids: Sequence[str]) -> None:
        """Delete checkpoints and the plan."""
        for checkpoint_id in checkpoint_ids:
            self._call("DELETE", f"{self._path}/{checkpoint_id}")
        for path in [f"{self._path}/{checkpoint_id}" for checkpoint_id in checkpoint_ids]:
            self._until(functools.partial(self._is_deleted, path), bool, f"the deletion of {path}")
        self._call("DELETE", f"/plans/{self._plan}")

    def _is_deleted(self, path: str) -> bool:
        answer = self._api.get(path, raise_exc=False)
        return answer.status_code == 404 or answer.json()["checkpoint"]["status"] == "deleted"

    def _ended(self, key: str, path: str) -> Mapping[str, Any]:
        def busy_or_ended() -> Mapping[str, Any]:
            answer = self._api.get(path, raise_exc=False, connect_retries=20)
            # The API may have no protection service to ask, or may itself be killed.
            return answer.json()[key] if answer.status_code == 200 else {"status": f"answer {answer.status_code}"}

        return self._until(busy_or_ended, lambda shown: shown["status"] in _ENDED, path)

    def _until(self, get: Callable[[], Any], done: Callable[[Any], bool], what: str) -> Any:
        end = time.monotonic() + self._patience
        while True:
            found = get()
            if done(found):
                return found
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: did not end within {self._patience:g} s; last seen {found}")
            time.sleep(_PAUSE)

    def belongings(self) -> set[str]:
        """Return kind and id of the volumes, snapshots and images of the project."""
        volumes = self._cinder.get("/volumes").json()["volumes"]
        snapshots = self._cinder.get("/snapshots").json()["snapshots"]
        images = self._glance.get(f"/v2/images?owner={self._project}").json()["images"]
        found = {"volume": volumes, "snapshot": snapshots, "image": images}
        return {f"{kind} {each['id']}" for kind, listed in found.items() for each in listed}

    def _delete_volume(self, volume_id: str) -> None:
        self._cinder.delete(f"/volumes/{volume_id}")
        self._until(lambda: f"volume {volume_id}" in self.belongings(), lambda there: not there, "a volume's deletion")

    def leftovers(self, before: set[str]) -> set[str]:
        """Return what is in the project that was not there *before*, once the deletions have had a minute."""
        end = time.monotonic() + min(60.0, self._patience)
        while (found := self.belongings() - before) and time.monotonic() < end:
            time.sleep(_PAUSE)
        return found


def report(kills: Sequence[Kill]) -> str:
    """Return the kills as a table."""
    lines = [f"{'operation':10}{'killed after':>14}{'ended after':>13}  status"]
    for kill in kills:
        after = f"{kill.after:.1f} s" if kill.after else "-"
        lines.append(f"{kill.operation:10}{after:>14}{kill.took:11.1f} s  {kill.status} {kill.reason}".rstrip())
    return "\n".join(lines)


def killer(options: argparse.Namespace) -> Callable[[], None]:
    """Return what kills the service, as the command line says."""

    def kill() -> None:
        if options.unit:
            command = ["systemctl", "kill", "--signal=SIGKILL", options.unit]
            subprocess.run(command, check=True)  # noqa: S603 - the operator's own command
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(options.pid_file.read_text()), signal.SIGKILL)
        if options.start:
            subprocess.run(options.start, shell=True, check=True)  # noqa: S602 - the operator's own command

    return kill


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", required=True, metavar="ID", help="provider that protects the volume")
    parser.add_argument(
        "--volume", required=True, metavar="ID", help="volume with some data; it must not change meanwhile"
    )
    parser.add_argument("--times", type=int, default=10, help="kills of protects, and as many of restores (10)")
    parser.add_argument("--seed", default=str(time.time_ns()), help="of the moments")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--unit", help="systemd unit of the protection service on this host")
    how.add_argument("--pid-file", type=Path, help="file with the id of the process to kill")
    parser.add_argument("--start", metavar="COMMAND", help="starts the service again; not needed if systemd does")
    loading.register_session_argparse_arguments(parser)
    loading.register_auth_argparse_arguments(parser, list(arguments), default="password")
    return parser.parse_args(arguments)


def main() -> int:
    """Run everything.

    :returns: exit code, 1 if an operation failed, a checkpoint is damaged, or something is left in the project
    """
    options = parse(sys.argv[1:])
    auth = loading.load_auth_from_argparse_arguments(options)
    session = loading.load_session_from_argparse_arguments(options, auth=auth)
    print(f"seed {options.seed}")
    trial = Trial(session, options.provider, options.volume, killer(options), seed=options.seed)
    before = trial.belongings()
    kills = trial.protects(options.times)
    good = [kill.made for kill in kills if kill.is_good]
    damaged = [made for made in good if trial.verify(made)["status"] != "success"]
    kills += trial.restores(good[0], options.times)
    trial.delete([kill.made for kill in kills if kill.operation == "protect"])
    left = trial.leftovers(before)
    print(report(kills))
    print(f"damaged checkpoints: {', '.join(damaged) or 'none'}; left in the project: {', '.join(left) or 'nothing'}")
    return 0 if not damaged and not left and all(kill.is_good for kill in kills) else 1


if __name__ == "__main__":
    sys.exit(main())
