"""Verifications of checkpoints against the checksums that were stored."""

from collections.abc import Generator
from typing import Any

from openstack import resource

from karbor_like_client.v1 import base, work


class Verification(work.Work):
    """A verification."""

    resource_key = "verification"
    resources_key = "verifications"
    base_path = "/verifications"
    allow_create = allow_fetch = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters("status", "provider_id", "checkpoint_id", **base.PAGING)

    provider_id = resource.Body("provider_id")
    checkpoint_id = resource.Body("checkpoint_id")
    #: Options of plugins, by ``Type`` or ``Type#id``.
    parameters = resource.Body("parameters", type=dict)
    #: By resource of the checkpoint, as ``Type#id``.
    resources_status = resource.Body("resources_status", type=dict)
    #: By resource of the checkpoint, as ``Type#id``.
    resources_reason = resource.Body("resources_reason", type=dict)


class Verifications(work.Waiting):
    """Requests about verifications."""

    def verifications(self, **query: Any) -> Generator[Verification, None, None]:
        """Yield verifications.

        :param query: ``status``, ``all_projects``, ``project_id``, ``sort``, ``limit``, ``marker``; for administrators also
            ``provider_id`` and ``checkpoint_id``
        """
        return self._list(Verification, **query)

    def get_verification(self, verification: str | Verification) -> Verification:
        """Return a verification by its id.

        :raises NotFound: there is none
        """
        return self._get(Verification, verification)

    def create_verification(self, **attributes: Any) -> Verification:
        """Verify a checkpoint. Returns when the operation has started, see :meth:`wait_for_verification`.

        :param attributes: ``provider_id``, ``checkpoint_id`` and possibly ``parameters`` and ``idempotency_key``
        """
        return self._create(Verification, **attributes)

    def cancel_verification(self, verification: str | Verification) -> None:
        """Cancel a verification in progress: its status becomes ``fail``.

        :raises Conflict: it has ended
        """
        self._delete(Verification, verification, ignore_missing=False)

    def wait_for_verification(
        self,
        verification: Verification,
        *,
        progress: work.Callback | None = None,
        interval: float = work.INTERVAL,
        wait: float | None = None,
    ) -> Verification:
        """Wait until a verification has succeeded, as :meth:`wait_for_checkpoint` does."""
        return self._wait(verification, progress, interval, wait)
