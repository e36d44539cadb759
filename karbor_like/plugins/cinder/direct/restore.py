"""The restore of ``volume-direct``: an empty volume, attached, written and detached."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.datapath import errors
from karbor_like.plugins.cinder import restored, volume_glance
from karbor_like.plugins.cinder.direct import attachments, choice
from karbor_like.plugins.cinder.direct.attachments import ATTACHMENT
from karbor_like.plugins.cinder.direct.backend import Backend, StoredVolume
from karbor_like.plugins.cinder.direct.plugin import DirectPlugin, NotDirect
from karbor_like.plugins.cinder.direct.transfer import Target
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.volume_data import VolumeRestore
from karbor_like.plugins.glance.data import DATA
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents

#: Role of the volume that is written directly. That of the route through Glance is another one: see :mod:`.route`.
DIRECT_VOLUME: Final = "direct-volume"


class Restore(VolumeRestore):
    """The restored volume is a result, which is deleted only if the operation fails."""

    plugin: DirectPlugin

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        self.plugin.check_stored(context, document)
        if not self.plugin.rules:
            found = self.plugin.fall_back(context, NotDirect("no backend is configured"))
            return self._through_glance(context, found["reason"])
        begun = {entry.role for entry in context.journal.entries()}
        if begun & {volume_glance.TEMPORARY_IMAGE, VOLUME}:
            return self._through_glance(context, "an earlier attempt at this restore began so")
        try:
            volume = self._directly(context, document)
        except errors.CannotOpen as error:
            found = self.plugin.fall_back(context, error)
            # Before the first object of the other route: so no attempt finds objects of both.
            for role, objects in reversed([*self._created(context).items()]):
                cleanup.remove(context, objects, role)
            return self._through_glance(context, found["reason"])
        remarks = restored.finish(context, volume, document["volume"])
        return {"restored": {context.resource.key: volume.id}, "remarks": remarks}

    def release(self, context: HookContext) -> list[str]:
        return cleanup.release(context, {**volume_glance.temporary(context), **self._created(context)})

    def cleanup(self, context: HookContext) -> None:
        glance = {**volume_glance.temporary(context), VOLUME: Volumes(context.clients)}
        cleanup.remove_all(context, {**glance, **self._created(context)})

    def _through_glance(self, context: HookContext, reason: str) -> dict[str, Any]:
        result = volume_glance.Restore(self.plugin).main(context)
        remark = f"the volume was copied through an image: {reason}"
        return {**result, "remarks": [remark, *(result.get("remarks") or ())]}

    def _directly(self, context: HookContext, document: Mapping[str, Any]) -> Any:
        """Return the volume when it has all bytes. Each step uses the result of an earlier attempt.

        Raises CannotOpen before anything is written.
        """
        size = document["volume"]["size"]
        timeout = self.plugin.timeout(context, size * self.plugin.gib)
        volumes = Volumes(context.clients)
        context.report.step("creating an empty volume")
        placement = restored.placement(context, document["volume"])
        volume_id = restored.create(context, size, placement, role=DIRECT_VOLUME)
        if any(entry.role == ATTACHMENT for entry in context.journal.entries()):
            volume = cloud_objects.fetch(context, volumes, volume_id)
        else:
            volume = restored.wait(context, volume_id, size, timeout)
        backend, located = self._backend(context, volume)
        if volume.metadata.get("readonly") == "True":
            self._open_up(context, volume_id)
        self._write(context, backend, located, timeout)
        cleanup.remove(context, self._created(context)[ATTACHMENT], ATTACHMENT)
        return restored.wait(context, volume_id, size, timeout)

    def _backend(self, context: HookContext, volume: Any) -> tuple[Backend, StoredVolume]:
        if volume.encrypted:
            raise NotDirect(
                f"volume {volume.id}: Cinder encrypts volumes of the type {volume.volume_type}, and what is written directly"
                " would not be encrypted"
            )
        located = choice.locate(context, volume)
        backend, reason = choice.choose(context, self.plugin.rules, located)
        if backend is None:
            raise errors.CannotOpen(f"volume {volume.id}: {reason}")
        return backend, located

    @staticmethod
    def _open_up(context: HookContext, volume_id: str) -> None:
        """Let the volume be written, which an earlier attempt had completed, but not all of its metadata."""

        def send() -> None:
            with translated(f"making volume {volume_id} writable"):
                context.clients.cinder().volumes.update_readonly_flag(volume_id, False)

        context.waiter.call(send, check=context.check)

    def _write(self, context: HookContext, backend: Backend, volume: StoredVolume, timeout: float) -> None:
        context.report.step("attaching the volume")
        attachment_id, connection = attachments.attach(
            context, context.clients, volume.id, backend.connector(), timeout
        )
        # The volume is ours, and held: only now may the user who can write be used.
        with backend.open_writer(context, volume, connection) as writer:
            context.report.step("writing the bytes")
            size = context.section.stats(DATA).logical
            context.section.restore(
                DATA,
                Target(context, writer),
                empty=backend.zeroes_new(connection),
                progress=lambda done: context.report.progress(done, size),
                check=context.check,
            )
            writer.flush()
        attachments.require_attached(context, context.clients, volume.id, attachment_id)

    def _created(self, context: HookContext) -> Mapping[str, Any]:
        """Return the types of the objects of the direct route, by role, dependents last."""
        volumes = Volumes(context.clients)
        attached = attachments.of_role(context, volumes, DIRECT_VOLUME)
        return {DIRECT_VOLUME: volumes, ATTACHMENT: attached}
