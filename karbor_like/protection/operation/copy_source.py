"""What a copy is made of: a checkpoint in the bank of another provider, read under a lease of its own."""

from functools import cached_property

from karbor_like import exception
from karbor_like.bank import Bank, Lease, ResourceSection
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.lazy import LazyLease
from karbor_like.protection.operation.spec import OperationSpec


class CopySource:
    """The source of one operation, while this process runs it. Used by many threads."""

    def __init__(self, env: ServiceContext, job: OperationSpec) -> None:
        self._env = env
        self._job = job
        self._lease = LazyLease(self._acquire)

    @property
    def checkpoint_id(self) -> str:
        return str(self._job.source_checkpoint_id)

    @cached_property
    def bank(self) -> Bank:
        """Raises CheckpointNotFound, ProviderNotFound, Unavailable."""
        provider_id = self._job.source_provider_id
        if provider_id is None:
            raise exception.CheckpointNotFound(f"checkpoint {self.checkpoint_id}, which is to be copied, is gone")
        try:
            return self._env.providers.get(provider_id).bank
        except exception.ProviderNotFound:
            raise exception.ProviderNotFound(
                f"provider {provider_id}, which has the checkpoint {self.checkpoint_id} that is to be copied, is not loaded"
                f" at {self._env.conf.service.host}"
            ) from None

    def _acquire(self) -> Lease:
        holder = f"{self._env.owner} {self._job.kind} {self._job.id}"
        return self.bank.leases.acquire(holder=holder, bases=[self.checkpoint_id], kind="read")

    def check(self) -> None:
        """Raises LeaseLost where what is read may be collected by now; takes the lease at the first call."""
        self._lease.get()

    def section(self, resource_key: str) -> ResourceSection:
        """The part of a resource, for reading."""
        self.check()
        return self.bank.section(self.checkpoint_id, self._job.owner_project, resource_key)

    def close(self) -> None:
        """Give back the lease."""
        self._lease.close()
