"""Actions of a tenant who uses a token, the clients of OpenStack and our REST API."""

import datetime
import hashlib
import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import tenacity
from cinderclient import client as cinder
from glanceclient import client as glance
from keystoneauth1 import adapter
from keystoneauth1.session import Session
from novaclient import client as nova

from tests.fixtures.cloud import CloudHandle

MIB = 1 << 20
#: Seconds after which a test stops waiting: enough for any operation on a loaded machine.
PATIENCE = 600
#: Seconds between two polls. Benchmarks set it.
PAUSE = 0.25
#: Seconds until a trigger is due that is due soon: enough to create what it starts. If they are not, it runs a minute later.
SOON = 5

_UNSETTLED = ("protecting", "deleting", "wait_copying", "copying")

VOLUME, IMAGE, SERVER = "OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Server"
#: Id of the smallest flavor of both clouds.
FLAVOR = "1"


def random_bytes(seed: int | str, mebibytes: int) -> Iterator[bytes]:
    """Yield random bytes, one mebibyte at a time. The same seed results in the same bytes."""
    source = random.Random(seed)
    for _ in range(mebibytes):
        yield source.randbytes(MIB)


def until(get: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Call *get* until *done* accepts its result, and return the result. After ``PATIENCE``, return the last result."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: not done(result)),
        wait=tenacity.wait_fixed(PAUSE),
        stop=tenacity.stop_after_delay(PATIENCE),
        retry_error_callback=lambda state: state.outcome.result(),
    )(get)


def member_role(cloud: CloudHandle, admin: Session, tenant: Session) -> str:
    """Return the URL of a tenant's role in its project: DELETE revokes the role, PUT grants it."""
    (member,) = admin.get(f"{cloud.auth_url}/roles?name=member").json()["roles"]
    project, user = tenant.get_project_id(), tenant.get_user_id()
    return f"{cloud.auth_url}/projects/{project}/users/{user}/roles/{member['id']}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _from(start: datetime.datetime) -> dict[str, Any]:
    return {"start_time": f"{start:%Y-%m-%d %H:%M:%S}", "window": 30}


def _soon() -> dict[str, Any]:
    """Return the properties of a trigger that is due in some seconds, and every minute from then on."""
    start = _now() + datetime.timedelta(seconds=SOON)
    event = f"BEGIN:VEVENT\nDTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:FREQ=MINUTELY\nEND:VEVENT"
    return {"format": "calendar", "pattern": event, **_from(_now() - datetime.timedelta(minutes=1))}


class Tenant:
    """A user of the cloud and of our API.

    :param user: ``alice``, ``bob`` or ``admin``
    :param session: with another token of the user; None: with the password
    """

    def __init__(self, cloud: CloudHandle, user: str, session: Session | None = None) -> None:
        self.cloud = cloud
        self.session = session or cloud.session(user)
        self.cinder = cinder.Client("3.66", session=self.session)
        self.glance = glance.Client("2", session=self.session)
        self.nova = nova.Client("2.60", session=self.session)
        self.api = adapter.Adapter(self.session, service_type="data-protect", raise_exc=False)

    # Cloud

    def volume(self, name: str, **values: Any) -> Any:
        """Create a volume, wait until it is available, and return it."""
        volume = self.cinder.volumes.create(self.cloud.size, name=name, **values)
        return until(lambda: self.cinder.volumes.get(volume.id), lambda v: v.status not in ("creating", "downloading"))

    def delete_volume(self, volume_id: str, *, cascade: bool = False) -> None:
        """Delete a volume, with its snapshots if *cascade* is set, and wait until it no longer exists."""
        self.cinder.volumes.delete(volume_id, cascade=cascade)
        states = until(self.volume_states, lambda found: found.get(volume_id) in (None, "error_deleting"))
        assert volume_id not in states, f"volume {volume_id} is {states[volume_id]} after its deletion"

    def volume_states(self) -> dict[str, str]:
        return {volume.id: volume.status for volume in self.cinder.volumes.list()}

    def volume_ids(self) -> set[str]:
        return set(self.volume_states())

    def image(self, name: str, data: bytes, **values: Any) -> Any:
        """Create an image with the content *data*, and return it."""
        image = self.glance.images.create(name=name, disk_format="raw", container_format="bare", **values)
        self.glance.images.upload(image.id, io.BytesIO(data), image_size=len(data))
        return self.glance.images.get(image.id)

    def image_digest(self, image_id: str) -> str:
        """Return the SHA-256 of an image's bytes as hex."""
        digest = hashlib.sha256()
        for chunk in self.glance.images.data(image_id):
            digest.update(chunk)
        return digest.hexdigest()

    def server(self, name: str, image: Any, volume: Any) -> Any:
        """Create a server that boots from *image*, attach *volume*, and return the server."""
        server = self.nova.servers.create(name, image.id, FLAVOR, nics="none")
        server = until(lambda: self.nova.servers.get(server.id), lambda s: s.status != "BUILD")
        assert server.status == "ACTIVE", server.to_dict()
        self.nova.volumes.create_server_volume(server.id, volume.id)
        attached = until(
            lambda: self.cinder.volumes.get(volume.id), lambda v: v.status not in ("reserved", "attaching")
        )
        assert attached.status == "in-use", attached.to_dict()
        return server

    def delete_server(self, server_id: str) -> None:
        """Delete a server, and wait until it no longer exists and its volumes are detached."""
        self.nova.servers.delete(server_id)
        until(self.nova.servers.list, lambda servers: server_id not in [server.id for server in servers])

    def belongings(self) -> dict[str, set[str]]:
        """Return the ids of all volumes, snapshots and images of the tenant."""
        project = self.session.get_project_id()
        return {
            "volumes": self.volume_ids(),
            "snapshots": {snapshot.id for snapshot in self.cinder.volume_snapshots.list()},
            "images": {image.id for image in self.glance.images.list(filters={"owner": project})},
        }

    # REST API

    def call(self, method: str, path: str, body: Any = None, expect: int = 200, **kwargs: Any) -> Any:
        """Call our API, assert that the response has status *expect*, and return its JSON."""
        response = self.api.request(path, method, json=body, **kwargs)
        assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def refused(self, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, str]:
        """Call our API, assert that it responds with an error in the standard format, and return status and message."""
        response = self.api.request(path, method, json=body, **kwargs)
        assert response.status_code >= 400, f"{method} {path} was not refused: {response.text}"
        ((_, error),) = response.json().items()
        assert error["code"] == response.status_code
        return response.status_code, error["message"]

    def plan(self, provider: str, *resources: tuple[str, Any], **values: Any) -> dict[str, Any]:
        """Create a plan of (type, object) pairs, and return it."""
        listed = [{"type": kind, "id": item.id, "name": item.name} for kind, item in resources]
        body = {"name": "nightly", "provider_id": provider, "parameters": {}, "resources": listed, **values}
        return self.call("POST", "/plans", {"plan": body})["plan"]

    def protect(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Start the protection of *plan*, and return the new checkpoint."""
        path = f"/providers/{plan['provider_id']}/checkpoints"
        return self.call("POST", path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]

    def checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Fetch a checkpoint in its current state."""
        return self.call("GET", path_of(checkpoint))["checkpoint"]

    def protected(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Protect *plan*, and return the checkpoint after the operation has ended, successfully or not."""
        return self.settled(self.protect(plan))

    def settled(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Wait until no operation on a checkpoint is in progress, and return the checkpoint."""
        return until(lambda: self.checkpoint(checkpoint), lambda c: c["status"] not in _UNSETTLED)

    def copied(self, plan: dict[str, Any], target: str, **asked: Any) -> list[dict[str, Any]]:
        """Copy a plan's checkpoints to the provider *target*, and return the copies after they have ended, oldest first."""
        body = {"copy": {"plan_id": plan["id"], "target_provider_id": target, **asked}}
        copy = self.call("POST", f"/providers/{plan['provider_id']}/checkpoints/action", body)["copy"]
        ids = [pair["checkpoint_copy_id"] for pair in copy["checkpoint_id"]]
        return [self.settled({"id": copy_id, "protection_plan": {"provider_id": target}}) for copy_id in ids]

    def schedule(
        self, plan: dict[str, Any], pattern: str = "* * * * *", *, soon: bool = False, **rules: Any
    ) -> dict[str, Any]:
        """Schedule the protection of *plan*, and return the scheduled operation.

        :param pattern: as in a crontab; the default is due every minute
        :param soon: instead of by *pattern*, run in some seconds, and every minute from then on
        :param rules: of its retention
        """
        crontab = {"format": "crontab", "pattern": pattern, **_from(_now() - datetime.timedelta(minutes=1))}
        trigger = {"trigger_info": {"name": "by the clock", "type": "time", "properties": _soon() if soon else crontab}}
        operation = {
            "name": "by itself",
            "operation_type": "retention_protect",
            "trigger_id": self.call("POST", "/triggers", trigger)["trigger_info"]["id"],
            "operation_definition": {"provider_id": plan["provider_id"], "plan_id": plan["id"], **rules},
        }
        return self.call("POST", "/scheduled_operations", {"scheduled_operation": operation})["scheduled_operation"]

    def advance(self, operation: dict[str, Any]) -> None:
        """Change the trigger of a scheduled operation so that it runs in some seconds, and every minute from then on."""
        self.call("PUT", f"/triggers/{operation['trigger_id']}", {"trigger_info": {"properties": _soon()}})

    def verified(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, Any]:
        """Verify a checkpoint, and return the verification after it has ended, successfully or not."""
        body = restore_of(checkpoint, **values)
        made = self.call("POST", "/verifications", {"verification": body})["verification"]
        return until(
            lambda: self.call("GET", f"/verifications/{made['id']}")["verification"],
            lambda verification: verification["status"] != "in_progress",
        )

    def begin_restore(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, Any]:
        """Start the restore of a checkpoint, and return the restore."""
        return self.call("POST", "/restores", {"restore": restore_of(checkpoint, **values)})["restore"]

    def ended(self, restore: dict[str, Any]) -> dict[str, Any]:
        """Wait until a restore has ended, successfully or not, and return it."""
        return until(
            lambda: self.call("GET", f"/restores/{restore['id']}")["restore"], lambda r: r["status"] != "in_progress"
        )

    def restore(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, Any]:
        """Restore a checkpoint, and return the restore after it has ended, successfully or not."""
        return self.ended(self.begin_restore(checkpoint, **values))

    def restored(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, list[str]]:
        """Restore a checkpoint, assert success, and return the ids of the new resources by type."""
        restore = self.restore(checkpoint, **values)
        assert restore["status"] == "success", restore
        created: dict[str, list[str]] = {}
        for key, status in restore["resources_status"].items():
            assert status == "available", restore
            kind, _, resource_id = key.partition("#")
            created.setdefault(kind, []).append(resource_id)
        return created


def path_of(checkpoint: dict[str, Any]) -> str:
    """Return the path of a checkpoint in our API."""
    return f"/providers/{checkpoint['protection_plan']['provider_id']}/checkpoints/{checkpoint['id']}"


def restore_of(checkpoint: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return what a request asks for that restores or verifies a checkpoint."""
    provider_id = checkpoint["protection_plan"]["provider_id"]
    return {"provider_id": provider_id, "checkpoint_id": checkpoint["id"], "parameters": {}, **values}
