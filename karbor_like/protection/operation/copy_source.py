"""The source of a copy: a checkpoint in the bank of another provider, read under its own lease."""

from functools import cached_property

from karbor_like import exception
from karbor_like.bank import Bank, Lease, ResourceSection
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.lazy import LazyLease
from karbor_like.protection.operation.spec import OperationSpec
from karbor_like.protection.rates import OperationRates


class CopySource:
    """The source of one copy operation while this process runs it. Thread-safe."""

    def __init__(self, env: ServiceContext, spec: OperationSpec, rates: OperationRates) -> None:
        self._env = env
        self._spec = spec
        self._rates = rates
        self._lease = LazyLease(self._acquire)

    @property
    def checkpoint_id(self) -> str:
        """Id of the checkpoint to copy."""
        return str(self._spec.source_checkpoint_id)

    @cached_property
    def bank(self) -> Bank:
        """The bank that holds the source. Raises CheckpointNotFound, ProviderNotFound, Unavailable."""
        provider_id = self._spec.source_provider_id
        if provider_id is None:
            raise exception.CheckpointNotFound(
                f"checkpoint {self.checkpoint_id}: it was deleted; a copy needs an available checkpoint"
            )
        try:
            return self._env.providers.get(provider_id).bank
        except exception.ProviderNotFound:
            raise exception.ProviderNotFound(
                f"provider {provider_id}, which has the checkpoint {self.checkpoint_id} that is to be copied, is not loaded"
                f" at {self._env.conf.service.host}"
            ) from None

    def _acquire(self) -> Lease:
        holder = f"{self._env.owner} {self._spec.kind} {self._spec.id}"
        return self.bank.leases.acquire(holder=holder, bases=[self.checkpoint_id], kind="read")

    def check(self) -> None:
        """Check the lease, and take it at the first call.

        :raises LeaseLost: garbage collection may already have removed what is read
        """
        self.lease.check()

    @property
    def lease(self) -> Lease:
        """The lease, taken at the first use. Raises LeaseLost, as :meth:`check`."""
        return self._lease.get()

    @property
    def unprotected(self) -> exception.KarborLikeError | None:
        """Why the bank does not store the lease of this reader, if it does not."""
        return self._lease.unprotected

    def section(self, resource_key: str) -> ResourceSection:
        """Open the section of a resource, for reading."""
        return self.bank.section(
            self.checkpoint_id, str(self._spec.source_project), resource_key, under=self.lease, rates=self._rates.bank
        )

    def close(self) -> None:
        """Release the lease."""
        self._lease.close()
