"""The resource to protect, and its snapshot or backup in the cloud: the first steps of plugins that read or keep that."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects
from karbor_like.plugins.toolkit.cloud_objects import Create

#: Role of the snapshot.
SNAPSHOT: Final = "snapshot"

#: Seconds to wait for a resource that the plan does not name while the cloud is busy with it. It is left out then.
MEMBER_PATIENCE: Final = 300.0


@dataclass(frozen=True)
class Source:
    """The resource of a protect.

    :param objects: resources of its type
    :param copies: snapshots or backups of such resources
    :param usable: the states in which the cloud makes such a copy
    :param obstacle: returns why one cannot be protected, even after a wait, or None if it can
    :param owner: returns the project of one, or None if the cloud does not say it
    :param role: of the copy in the journal
    """

    context: HookContext
    objects: CloudObjects
    copies: CloudObjects
    usable: Collection[str]
    obstacle: Callable[[Any], str | None]
    owner: Callable[[Any], str | None]
    role: str = SNAPSHOT

    @property
    def _what(self) -> str:
        return f"{self.objects.noun} {self.context.resource.id}"

    def wait_until_idle(self) -> Any:
        """Return the resource as soon as the cloud is not busy with it.

        Raises ResourceNotProtectable if it has a state that it does not leave by itself, or not in time.
        """
        context, what = self.context, self._what
        context.report.step(f"waiting for the {self.objects.noun} to be idle")
        try:
            return context.waiter.until(
                f"{what} to become {' or '.join(sorted(self.usable))}",
                self._get,
                done=lambda current: current.status in self.usable,
                timeout=min(context.waiter.timeout, MEMBER_PATIENCE) if context.is_member else None,
                check=context.check,
            )
        except exception.Timeout as error:
            # Otherwise the cloud did not answer.
            if self._get().status in self.usable:
                raise
            raise exception.ResourceNotProtectable(error.message) from error

    def _get(self) -> Any:
        found = self.objects.get(self.context.resource.id)
        if self.owner(found) not in (None, self.context.project_id):
            raise exception.ResourceNotFound(f"{self._what} does not exist")
        reason = self.objects.failure(found) or self.obstacle(found)
        if reason:
            raise exception.ResourceNotProtectable(f"{self._what} cannot be protected: {reason}")
        return found

    def take_copy(self, create: Create, *, keep: bool, timeout: float | None = None) -> Any:
        """Make the snapshot or backup, and return it when it is ready. Idempotent.

        :param keep: whether it is the result of the operation instead of a temporary object
        :param timeout: seconds; None for the usual one

        Raises ResourceNotProtectable if the state of the resource does not allow it, ResourceFailed with the cloud's reason.
        """
        context = self.context
        context.report.step(f"making the {self.copies.noun}")
        try:
            copy_id = cloud_objects.ensure(context, self.copies, self.role, create, keep=keep)
        except exception.ResourceFailed as error:
            status = cloud_objects.fetch(context, self.objects, context.resource.id).status
            if status in self.usable:
                raise
            raise exception.ResourceNotProtectable(
                f"{self._what} became {status!r} before its {self.copies.noun} was made: {error.message}"
            ) from error
        return cloud_objects.wait(context, self.copies, copy_id, timeout)

    def find_copy(self) -> str:
        """Return the id of the snapshot or backup. Raises ResourceFailed if it no longer exists."""
        copy_id = cloud_objects.find_existing(self.context, self.copies, self.role)
        if copy_id is None:
            raise exception.ResourceFailed(
                f"{self._what}: its {self.copies.noun} was deleted during the operation; protect it again"
            )
        return copy_id
