"""What must be true after each cell: :class:`Checks` remembers what was before, and lists the problems afterwards."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from karbor_like import exception
from karbor_like.bank import layout
from karbor_like.bank.leases.lease import LeaseInfo
from karbor_like.bank.verify import full
from tests.faults.subjects import Subject, Things
from tests.faults.system import COPIES, System


@dataclass(frozen=True)
class Change:
    """What an operation makes in the cloud, and what it deletes there: the number of things of each kind."""

    made: Counter[str]
    deleted: Counter[str]

    @classmethod
    def between(cls, before: Things, after: Things) -> Self:
        return cls(Counter(kind for kind, _ in after - before), Counter(kind for kind, _ in before - after))

    def __str__(self) -> str:
        return f"made {dict(self.made)}, deleted {dict(self.deleted)}"


NOTHING: Final = Change(Counter(), Counter())
#: The statuses of operations that have succeeded.
GOOD: Final = ("available", "success", "deleted")


class Checks:
    """The checks of one cell.

    :param earlier: id of a checkpoint that the operation must not change
    :param change: what the operation changes in the cloud if it succeeds
    :param content: of what it restores, see :class:`Subject`
    """

    def __init__(
        self, system: System, subject: Subject, earlier: str, change: Change = NOTHING, content: str = ""
    ) -> None:
        self._system = system
        self._subject = subject
        self._earlier = earlier
        self._change = change
        self._content = content
        self._things = system.belongings()
        self._unfinished = system.unfinished()
        self._flows = system.flows()
        self._stored = self._checkpoint()
        self._leases = {lease.id for _, lease in self._unreleased()}

    def made(self) -> Things:
        """Return what is new in the cloud."""
        return self._system.belongings() - self._things

    def seen(self) -> Change:
        """Return what has changed in the cloud."""
        return Change.between(self._things, self._system.belongings())

    def _checkpoint(self) -> list[tuple[str, int, Any]]:
        return self._system.stored(self._subject.provider_id, layout.checkpoint_prefix(self._earlier))

    def problems(self, operation: Any, *, must_succeed: bool, bank_failed: bool) -> Iterator[str]:
        """Yield what is wrong.

        :param operation: the row of the operation that has ended; None: the request began none
        :param must_succeed: whether its failure is a problem
        :param bank_failed: whether the bank refused requests, so that a lease could not be released
        """
        if operation is not None:
            yield from self._state(operation, must_succeed, bank_failed)
            yield from self._cloud(operation)
        elif self.seen() != NOTHING:
            yield f"there is no operation, but in the cloud: {self.seen()}"
        if new := self._system.unfinished() - self._unfinished:
            yield f"nothing ends these: {sorted(new)}"
        yield from self._held(bank_failed)
        if self._checkpoint() != self._stored:
            yield "the earlier checkpoint was changed"
        yield from self._verify(self._subject.provider_id, self._earlier)

    def _state(self, operation: Any, must_succeed: bool, bank_failed: bool) -> Iterator[str]:
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
            yield from self._bank(operation, row.status, bank_failed)

    def _object(self, operation: Any) -> Any:
        if operation.operation_type == "restore":
            return self._system.restored(operation.restore_id)
        if operation.operation_type == "verify":
            return self._system.verified(operation.verification_id)
        return self._system.checkpoint(operation.checkpoint_id)

    def _bank(self, operation: Any, status: str, bank_failed: bool) -> Iterator[str]:
        provider_id = COPIES if operation.operation_type == "copy" else self._subject.provider_id
        try:
            found = self._system.bank(provider_id).checkpoints.get(operation.checkpoint_id).status
        except exception.NotFound:
            found = "deleted"
        # A checkpoint of which nothing was stored is no error in the bank, and one whose failure could not be stored waits.
        legal: tuple[str, ...] = (status,)
        if status == "error":
            legal = ("error", "deleted", "protecting", "copying")
        if bank_failed and status == "error-deleting":
            legal = (status, "deleting")  # which other sites treat as failed after a day
        if found not in legal:
            yield f"the checkpoint is {status!r}, but {found!r} in the bank"
        if status == "available":
            yield from self._verify(provider_id, operation.checkpoint_id)

    def _verify(self, provider_id: str, checkpoint_id: str) -> Iterator[str]:
        for finding in full(self._system.bank(provider_id), [checkpoint_id]):
            yield f"checkpoint {checkpoint_id}: {finding.problem}"

    def _cloud(self, operation: Any) -> Iterator[str]:
        seen = self.seen()
        if operation.status in GOOD:
            if seen != self._change:
                yield f"the operation changed the cloud: {seen}; without a fault: {self._change}"
        elif seen.made or seen.deleted - self._change.deleted:
            yield f"the operation failed, and changed the cloud: {seen}; left: {sorted(self.made())}"
        if operation.operation_type == "restore" and operation.status == "success":
            content = self._subject.content(self._system, self.made())
            if content != self._content:
                yield f"what was restored has another content than what was protected: {content}, not {self._content}"

    def _unreleased(self) -> Iterator[tuple[int, LeaseInfo]]:
        """Yield the leases of the banks that are not released, with the processes that took them."""
        for provider_id in sorted({self._subject.provider_id, COPIES}):
            for lease in self._system.bank(provider_id).leases.list():
                if not lease.released and lease.holder != "verification":
                    yield int(lease.holder.split(" ")[0].split(":")[1]), lease

    def _held(self, bank_failed: bool) -> Iterator[str]:
        for pid, lease in self._unreleased():
            if lease.id in self._leases or pid in self._system.killed:
                continue
            # One whose release could not be stored expires, because nothing renews it any more.
            if not bank_failed or f"lease-{lease.id[:8]}" in self._system.threads(pid):
                yield f"lease {lease.id} of {lease.holder} is still held"
