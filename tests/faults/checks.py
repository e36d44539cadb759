"""What must be true after each cell: :class:`Checks` remembers what was before, and lists the problems afterwards."""

from collections.abc import Iterator
from typing import Any

from karbor_like import exception
from karbor_like.bank import layout
from karbor_like.bank.leases.lease import LeaseInfo
from karbor_like.bank.verify import full
from tests.faults.subjects import Subject
from tests.faults.system import COPIES, System


class Checks:
    """The checks of one cell.

    :param earlier: id of a checkpoint that the operation must not change
    """

    def __init__(self, system: System, subject: Subject, earlier: str) -> None:
        self._system = system
        self._subject = subject
        self._earlier = earlier
        self._resources = system.belongings()
        self._flows = system.flows()
        self._stored = self._checkpoint()
        self._leases = {lease.id for _, lease in self._unreleased()}

    def _checkpoint(self) -> list[tuple[str, int, Any]]:
        return self._system.stored(self._subject.provider_id, layout.checkpoint_prefix(self._earlier))

    def problems(self, operation: Any, *, must_succeed: bool, bank_failed: bool) -> Iterator[str]:
        """Yield what is wrong.

        :param operation: the row of the operation that has ended
        :param must_succeed: whether its failure is a problem
        :param bank_failed: whether the bank refused requests, so that a lease could not be released
        """
        yield from self._state(operation, must_succeed)
        yield from self._cloud(operation)
        if not bank_failed:
            yield from self._held()
        if self._checkpoint() != self._stored:
            yield "the earlier checkpoint was changed"
        yield from self._verify(self._subject.provider_id, self._earlier)

    def _state(self, operation: Any, must_succeed: bool) -> Iterator[str]:
        kind, status, reason = operation.operation_type, operation.status, operation.error_info
        good, bad = {
            "protect": ("available", "error"),
            "copy": ("available", "error"),
            "delete": ("deleted", "error-deleting"),
        }.get(kind, ("success", "fail"))
        if status not in (good, bad):
            yield f"the operation ended in status {status!r}"
        if must_succeed and status != good:
            yield f"the operation failed: {reason}"
        if status == bad and not reason:
            yield "the operation failed without a reason"
        if operation.credential is not None:
            yield "the credential was not erased"
        if self._system.flows() > self._flows:
            yield "a flow is still saved"
        row = self._object(operation)
        expected = status
        if kind == "delete" and status == bad and row.status in ("available", "error"):
            expected = row.status  # the bank refused the deletion before anything was deleted
        if row.status != expected:
            yield f"the operation is {status!r}, but its object {row.status!r}"
        if kind in ("protect", "copy", "delete"):
            yield from self._bank(operation, row.status)

    def _object(self, operation: Any) -> Any:
        if operation.operation_type == "restore":
            return self._system.restored(operation.restore_id)
        if operation.operation_type == "verify":
            return self._system.verified(operation.verification_id)
        return self._system.checkpoint(operation.checkpoint_id)

    def _bank(self, operation: Any, status: str) -> Iterator[str]:
        provider_id = COPIES if operation.operation_type == "copy" else self._subject.provider_id
        try:
            found = self._system.bank(provider_id).checkpoints.get(operation.checkpoint_id).status
        except exception.NotFound:
            found = "deleted"
        # A checkpoint of which nothing was stored is no error in the bank, and one whose failure could not be stored waits.
        legal = {"error": ("error", "deleted", "protecting", "copying")}.get(status, (status,))
        if found not in legal:
            yield f"the checkpoint is {status!r}, but {found!r} in the bank"
        if status == "available":
            yield from self._verify(provider_id, operation.checkpoint_id)

    def _verify(self, provider_id: str, checkpoint_id: str) -> Iterator[str]:
        for finding in full(self._system.bank(provider_id), [checkpoint_id]):
            yield f"checkpoint {checkpoint_id}: {finding.problem}"

    def _cloud(self, operation: Any) -> Iterator[str]:
        now = self._system.belongings()
        made = {key for _, key in now - self._resources}
        expected = set(self.results(operation))
        if operation.operation_type == "protect" and operation.status == "available":
            # Plugins that leave the bytes in the cloud keep one object there.
            kept = {kind for kind, _ in now - self._resources if kind in ("snapshot", "backup")}
            if self._subject.name in kept and len(made) == 1:
                return
        if made != expected:
            left = sorted((kind, key) for kind, key in now - self._resources if key not in expected)
            yield f"left in the cloud: {left}; not there: {sorted(expected - made)}"
        lost = self._resources - now
        if operation.operation_type == "delete":
            lost = {(kind, key) for kind, key in lost if kind != self._subject.name}
        if lost:
            yield f"deleted from the cloud: {sorted(lost)}"
        for key in expected:
            if self._subject.content(self._system, key) != self.expected_content:
                yield f"{key} has another content than what was protected"

    #: Digest of the bytes of the subject.
    expected_content = ""

    def results(self, operation: Any) -> list[str]:
        """Return the ids of what the operation restored."""
        if operation.operation_type != "restore" or operation.status != "success":
            return []
        return [key.partition("#")[2] for key in self._system.restored(operation.restore_id).resources_status]

    def _unreleased(self) -> Iterator[tuple[int, LeaseInfo]]:
        """Yield the leases of the banks that are not released, with the processes that took them."""
        for provider_id in sorted({self._subject.provider_id, COPIES}):
            for lease in self._system.bank(provider_id).leases.list():
                if not lease.released and lease.holder != "verification":
                    yield int(lease.holder.split(" ")[0].split(":")[1]), lease

    def _held(self) -> Iterator[str]:
        for pid, lease in self._unreleased():
            if lease.id not in self._leases and pid not in self._system.killed:
                yield f"lease {lease.id} of {lease.holder} is still held"
