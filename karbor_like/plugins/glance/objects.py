"""Glance's images as objects that operations create and delete."""

from collections.abc import Iterable, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.toolkit import ownership
from karbor_like.plugins.toolkit.paging import PAGE, paged


class Images(CloudObjects):
    """Images of the project."""

    noun = "image"
    ready = "active"
    deletable = None

    def get(self, cloud_id: str) -> Any:
        with translated(f"image {cloud_id}"):
            image = self.clients.glance().images.get(cloud_id)
        if image.status in ("deleted", "pending_delete"):
            raise exception.ResourceNotFound(f"image {cloud_id} was deleted")
        return image

    def find(self, name: str) -> Sequence[str]:
        # Glance lists public images of other projects as well.
        filters = {"name": name, "owner": self.clients.project_id}
        with translated(f"images named {name}"):
            listed = list(self.clients.glance().images.list(filters=filters))
        return [image.id for image in listed if image.name == name and image.owner == self.clients.project_id]

    def delete(self, current: Any) -> None:
        with translated(f"deleting image {current.id}"):
            if current.protected:
                self.clients.glance().images.update(current.id, protected=False)
            self.clients.glance().images.delete(current.id)

    def failure(self, current: Any) -> str | None:
        if current.status not in ("killed", "deactivated"):
            return None
        return f"Glance put it into state {current.status!r}" + (
            f": {current.message}" if current.get("message") else ""
        )

    def scan(self) -> Iterable[Any]:
        def ask(marker: str | None) -> Sequence[Any]:
            after = {"marker": marker} if marker else {}
            listed = self.clients.glance().images.list(
                filters={"owner": self.clients.project_id}, page_size=PAGE, limit=PAGE, **after
            )
            return list(listed)

        return paged("the images of the project", ask)

    def mark(self, current: Any) -> Mark | None:
        if current.owner != self.clients.project_id:
            return None
        return ownership.mark(current.id, current.name, current, current.created_at)
