"""The tenant of the demonstration: a user of the cloud and of our REST API."""

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import tenacity
from cinderclient import client as cinder
from keystoneauth1 import adapter
from rich import console, progress

from karbor_like import exception
from karbor_like.sandbox.cloud import Connection

MIB: Final = 1 << 20
_PATIENCE: Final = 600
OUT: Final = console.Console(highlight=False)

Json = dict[str, Any]


def until(get: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Call *get* until *done* accepts its result, and return the result.

    :raises tenacity.RetryError: after ten minutes
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: not done(result)),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(_PATIENCE),
    )(get)


def random_bytes(seed: int, mebibytes: int) -> Iterator[bytes]:
    """Yield random bytes, one mebibyte at a time. The same seed results in the same bytes."""
    source = random.Random(seed)  # noqa: S311 - reproducible data, not secrets
    for _ in range(mebibytes):
        yield source.randbytes(MIB)


class Tenant:
    """A tenant of a sandbox.

    :param provider: id of the provider that stores the tenant's checkpoints
    """

    def __init__(self, cloud: Connection, provider: str) -> None:
        self.cloud = cloud
        self.session = cloud.session("alice")
        self.cinder = cinder.Client("3.66", session=self.session)
        self._api = adapter.Adapter(self.session, service_type="data-protect")
        self._provider = provider

    def volume(self, name: str, **values: Any) -> Any:
        """Create a volume of 1 GiB, wait until it is available, and return it."""
        created = self.cinder.volumes.create(1, name=name, **values)
        return until(lambda: self.cinder.volumes.get(created.id), lambda volume: volume.status == "available")

    def delete_volumes(self, **filters: str) -> None:
        """Delete the volumes that match, and wait until they no longer exist."""

        def matching() -> list[Any]:
            return self.cinder.volumes.list(search_opts=filters)

        for volume in matching():
            self.cinder.volumes.delete(volume.id, cascade=True)
        until(matching, lambda volumes: not volumes)

    def protect(self, resource: Json) -> Json:
        """Create a plan for a resource, protect it, and return the checkpoint.

        :raises ResourceFailed: the checkpoint ended in error
        """
        plan = {"name": "demo", "provider_id": self._provider, "parameters": {}, "resources": [resource]}
        plan_id = self._call("POST", "/plans", {"plan": plan})["plan"]["id"]
        path = f"/providers/{self._provider}/checkpoints"
        checkpoint_id = self._call("POST", path, {"checkpoint": {"plan_id": plan_id}})["checkpoint"]["id"]
        return self._follow(
            "protecting", lambda: self._call("GET", f"{path}/{checkpoint_id}")["checkpoint"], "available"
        )

    def restore(self, checkpoint: Json) -> Json:
        """Restore a checkpoint, and return the restore.

        :raises ResourceFailed: the restore failed
        """
        body = {"provider_id": self._provider, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore_id = self._call("POST", "/restores", {"restore": body})["restore"]["id"]
        return self._follow("in_progress", lambda: self._call("GET", f"/restores/{restore_id}")["restore"], "success")

    def _call(self, method: str, path: str, body: Any = None) -> Json:
        return self._api.request(path, method, json=body).json()

    def _follow(self, busy: str, get: Callable[[], Json], wanted: str) -> Json:
        """Show the progress of an object, in bytes, until its status is no longer *busy*.

        :raises ResourceFailed: the object ended in another status than *wanted*
        """
        columns = (
            progress.TextColumn("{task.description:>12}"),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TimeElapsedColumn(),
        )
        with progress.Progress(*columns, console=OUT) as bar:
            task = bar.add_task(busy.replace("in_progress", "restoring"), total=None)

            def poll() -> Json:
                shown = get()
                bar.update(task, completed=shown["progress"]["bytes_done"], total=shown["progress"]["bytes_total"])
                return shown

            ended = until(poll, lambda shown: shown["status"] != busy)
            # Projects have parts without a size: the total is known only now.
            bar.update(task, total=ended["progress"]["bytes_done"])
        if ended["status"] != wanted:
            raise exception.ResourceFailed(
                f"{ended['id']}: ended in status {ended['status']!r}, expected {wanted!r}: {ended['reason']}"
            )
        return ended
