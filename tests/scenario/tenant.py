"""A tenant at work: what a person with a token, the clouds' clients and our REST API would do."""

import hashlib
import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import tenacity
from cinderclient import client as cinder
from glanceclient import client as glance
from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from tests.fixtures.cloud import CloudHandle

MIB = 1 << 20
#: How long anything may take on a busy machine before the test gives up, seconds.
PATIENCE = 600

_UNSETTLED = ("protecting", "deleting", "wait_copying", "copying")

VOLUME, IMAGE = "OS::Cinder::Volume", "OS::Glance::Image"


def random_bytes(seed: int | str, mebibytes: int) -> Iterator[bytes]:
    """The same random bytes for the same seed, a mebibyte at a time."""
    source = random.Random(seed)
    for _ in range(mebibytes):
        yield source.randbytes(MIB)


def until(get: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """What *get* returns as soon as *done* says so of it."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: not done(result)),
        wait=tenacity.wait_fixed(0.25),
        stop=tenacity.stop_after_delay(PATIENCE),
        retry_error_callback=lambda state: state.outcome.result(),
    )(get)


def member_role(cloud: CloudHandle, admin: Session, tenant: Session) -> str:
    """The URL of a tenant's role in his project: DELETE takes it away, PUT gives it back."""
    (member,) = admin.get(f"{cloud.auth_url}/roles?name=member").json()["roles"]
    project, user = tenant.get_project_id(), tenant.get_user_id()
    return f"{cloud.auth_url}/projects/{project}/users/{user}/roles/{member['id']}"


class Tenant:
    """:param user: ``alice``, ``bob`` or ``admin``"""

    def __init__(self, cloud: CloudHandle, user: str) -> None:
        self.cloud = cloud
        self.session = cloud.session(user)
        self.cinder = cinder.Client("3.66", session=self.session)
        self.glance = glance.Client("2", session=self.session)
        self.api = adapter.Adapter(self.session, service_type="data-protect", raise_exc=False)

    # The cloud

    def volume(self, name: str, **values: Any) -> Any:
        """Create a volume of size 1, that is of ``cloud.gib`` bytes, and return it when it is available."""
        made = self.cinder.volumes.create(1, name=name, **values)
        return until(lambda: self.cinder.volumes.get(made.id), lambda v: v.status not in ("creating", "downloading"))

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and wait until it is gone."""
        self.cinder.volumes.delete(volume_id)
        until(self.volume_ids, lambda ids: volume_id not in ids)

    def volume_ids(self) -> set[str]:
        return {volume.id for volume in self.cinder.volumes.list()}

    def image(self, name: str, data: bytes, **values: Any) -> Any:
        """A new image of *data*."""
        made = self.glance.images.create(name=name, disk_format="raw", container_format="bare", **values)
        self.glance.images.upload(made.id, io.BytesIO(data), image_size=len(data))
        return self.glance.images.get(made.id)

    def image_digest(self, image_id: str) -> str:
        """SHA-256 of an image's bytes, as hex."""
        digest = hashlib.sha256()
        for chunk in self.glance.images.data(image_id):
            digest.update(chunk)
        return digest.hexdigest()

    def belongings(self) -> dict[str, set[str]]:
        """Ids of all volumes, snapshots and images that the tenant has."""
        project = self.session.get_project_id()
        return {
            "volumes": self.volume_ids(),
            "snapshots": {snapshot.id for snapshot in self.cinder.volume_snapshots.list()},
            "images": {image.id for image in self.glance.images.list(filters={"owner": project})},
        }

    # The API

    def call(self, method: str, path: str, body: Any = None, expect: int = 200, **kwargs: Any) -> Any:
        """The JSON answer of our API, which must have status *expect*."""
        response = self.api.request(path, method, json=body, **kwargs)
        assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def refused(self, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, str]:
        """Status and message of an answer that must be an error in the one error shape."""
        try:
            response = self.api.request(path, method, json=body, **kwargs)
        except ksa.HttpError as error:
            response = error.response
        assert response.status_code >= 400, f"{method} {path} was not refused: {response.text}"
        ((_, error),) = response.json().items()
        assert error["code"] == response.status_code
        return response.status_code, error["message"]

    def plan(self, provider: str, *resources: tuple[str, Any], **values: Any) -> dict[str, Any]:
        """A new plan of (type, object) pairs."""
        listed = [{"type": kind, "id": thing.id, "name": thing.name} for kind, thing in resources]
        body = {"name": "nightly", "provider_id": provider, "parameters": {}, "resources": listed, **values}
        return self.call("POST", "/plans", {"plan": body})["plan"]

    def protect(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Begin a checkpoint of *plan*."""
        path = f"/providers/{plan['provider_id']}/checkpoints"
        return self.call("POST", path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]

    def checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint as it is now."""
        return self.call("GET", path_of(checkpoint))["checkpoint"]

    def protected(self, plan: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint of *plan* when its protection ended, however it did."""
        return self.settled(self.protect(plan))

    def settled(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint when nothing is being done to it any more."""
        return until(lambda: self.checkpoint(checkpoint), lambda c: c["status"] not in _UNSETTLED)

    def copied(self, plan: dict[str, Any], target: str, **asked: Any) -> list[dict[str, Any]]:
        """Copies of a plan's checkpoints to the provider *target* when they ended, however they did; oldest first."""
        body = {"copy": {"plan_id": plan["id"], "target_provider_id": target, **asked}}
        made = self.call("POST", f"/providers/{plan['provider_id']}/checkpoints/action", body)["copy"]
        ids = [pair["checkpoint_copy_id"] for pair in made["checkpoint_id"]]
        return [self.settled({"id": one, "protection_plan": {"provider_id": target}}) for one in ids]

    def restore(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, Any]:
        """A restore when it ended, however it did."""
        body = {
            "provider_id": checkpoint["protection_plan"]["provider_id"],
            "checkpoint_id": checkpoint["id"],
            "parameters": {},
            **values,
        }
        restore = self.call("POST", "/restores", {"restore": body})["restore"]
        return until(
            lambda: self.call("GET", f"/restores/{restore['id']}")["restore"], lambda r: r["status"] != "in_progress"
        )

    def restored(self, checkpoint: dict[str, Any], **values: Any) -> dict[str, list[str]]:
        """The ids of what a restore, which must succeed, made, by resource type."""
        restore = self.restore(checkpoint, **values)
        assert restore["status"] == "success", restore
        made: dict[str, list[str]] = {}
        for key, status in restore["resources_status"].items():
            assert status == "available", restore
            kind, _, resource_id = key.partition("#")
            made.setdefault(kind, []).append(resource_id)
        return made


def path_of(checkpoint: dict[str, Any]) -> str:
    """Where the API has a checkpoint."""
    return f"/providers/{checkpoint['protection_plan']['provider_id']}/checkpoints/{checkpoint['id']}"
