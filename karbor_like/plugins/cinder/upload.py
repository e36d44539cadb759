"""Cinder's upload of a volume to an image, awaited."""

from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.cinder.objects import Volumes, cinder_message
from karbor_like.plugins.glance import content
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.protection import HookContext

#: Consecutive polls in which Cinder does not show the volume as uploading before the upload counts as failed. A replica of
#: Cinder's database may lag.
_GIVEN_UP: Final = 3


@dataclass
class _State:
    volume: Any
    image: Any | None

    @property
    def status(self) -> str:
        return self.image.status if self.image else "deleted"


class Upload:
    """Cinder's upload of the temporary volume.

    The image shows when it is complete, the volume when Cinder has given up.
    """

    def __init__(self, context: HookContext, volume_id: str, image_id: str) -> None:
        self._context = context
        self._volumes = Volumes(context.clients)
        self._images = Images(context.clients)
        self._volume_id = volume_id
        self._image_id = image_id
        self._idle = 0

    def wait(self, timeout: float) -> Any:
        """Wait for the active image and return it. Raises ResourceFailed with Cinder's reason once the upload failed."""
        upload = self._context.waiter.until(
            f"image {self._image_id} to become active",
            self._poll,
            done=lambda upload: upload.status == self._images.ready,
            failed=self._failure,
            timeout=timeout,
            check=self._context.check,
        )
        return upload.image

    def _poll(self) -> _State:
        # The volume first: once it is idle, the upload has ended, and the image state that is read afterwards is final.
        volume = self._volumes.get(self._volume_id)
        try:
            return _State(volume, self._images.get(self._image_id))
        except exception.ResourceNotFound:
            return _State(volume, None)

    def _failure(self, state: _State) -> str | None:
        if state.image is None:
            return f"it was deleted: {self._message()}. {content.POSSIBLE}"
        failure = self._images.failure(state.image) or self._volumes.failure(state.volume)
        if failure:
            return failure
        idle = state.volume.status != "uploading" and state.image.status != self._images.ready
        self._idle = self._idle + 1 if idle else 0
        if self._idle < _GIVEN_UP:
            return None
        return f"Cinder gave up uploading volume {self._volume_id}: {self._message()}. {content.POSSIBLE}"

    def _message(self) -> str:
        return cinder_message(self._context.clients, self._volume_id)
