"""A bank: checkpoints, leases and data are all reached through a :class:`Bank`."""

from collections.abc import Sequence

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import options as bank_options
from karbor_like.bank.blocks.blockstore import BlockStore
from karbor_like.bank.checkpoints.checkpoints import Checkpoints
from karbor_like.bank.checkpoints.events import pins_of
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import CastellanMasterKeys, ConfiguredMasterKeys, MasterKeys
from karbor_like.bank.leases import safety as margins
from karbor_like.bank.leases.lease import Lease, Leases
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import factory, limited
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.bank.options import BankOptions
from karbor_like.clock import Clock
from karbor_like.rate import Rate


class Bank:
    """A store of checkpoints.

    :param store: an object store that retries failed requests
    :param keyring: None if the bank is not encrypted
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        keyring: Keyring | None,
        options: BankOptions,
        clock: Clock,
        safety: Safety = margins.DEFAULT,
    ) -> None:
        self.store = store
        self.keyring = keyring
        self.clock = clock
        self.safety = safety
        self.reserve = Reserve(store, clock, options.reserve)
        self.checkpoints = Checkpoints(store, self.reserve, clock, keyring, safety)
        self.leases = Leases(store, self.reserve, clock, safety)
        self._blocks = BlockStore(store, keyring, options)

    def section(
        self,
        checkpoint_id: str,
        project_id: str,
        resource_key: str,
        *,
        lease: Lease | None = None,
        under: Lease | None = None,
        rates: Sequence[Rate] = (),
    ) -> ResourceSection:
        """Open one resource's part of a checkpoint.

        :param resource_key: ``Type#id``
        :param lease: a write lease, to write; None to read
        :param under: lease of the operation that reads a complete checkpoint, and that its lease names: what was read once
            under this lease is not read again
        :param rates: which the data of its streams passes before it passes that of the bank
        :raises CheckpointNotFound: the checkpoint was deleted. A writer learns that once per lease, and at its commit
        """
        versions = self.checkpoints.versions(checkpoint_id, project_id, lease, under=under)
        return self._section(versions, checkpoint_id, project_id, resource_key, lease, rates, under)

    def section_of(self, record: CheckpointRecord, resource_key: str) -> ResourceSection:
        """Open one resource's part of a checkpoint that was read just now, to read. Costs no request.

        :param resource_key: ``Type#id``
        """
        versions = ObjectVersions(self.store, record.id, pins_of(record.events))
        return self._section(versions, record.id, record.project_id, resource_key, None)

    def _section(
        self,
        versions: ObjectVersions,
        checkpoint_id: str,
        project_id: str,
        resource_key: str,
        lease: Lease | None,
        rates: Sequence[Rate] = (),
        under: Lease | None = None,
    ) -> ResourceSection:
        return ResourceSection(
            self.store,
            self._blocks.limited(rates) if rates else self._blocks,
            versions,
            checkpoint_id=checkpoint_id,
            project_id=project_id,
            resource_key=resource_key,
            lease=lease,
            under=under,
        )

    def close(self) -> None:
        """Close the store's connections. The bank cannot be used afterwards."""
        self.store.close()


def open_bank(conf: cfg.ConfigOpts, name: str, clock: Clock) -> Bank:
    """Open the bank that a provider's file describes. Sends no request yet.

    :param conf: the provider's own configuration; the options of group ``[bank]`` and of the store are registered in it
    :param name: the type of the store: an entry point of ``karbor_like.banks``
    :raises ConfigurationError: an option is missing or wrong
    """
    conf.register_opts([*bank_options.OPTS, *margins.OPTS], group=bank_options.GROUP)
    store = factory.open_store(conf, name, clock)
    if limit := conf.bank.max_bytes_per_second:
        store = limited.limited(store, [Rate(lambda: limit, clock)])
    keyring = Keyring(store, _master_keys(conf)) if conf.bank.encryption else None
    return Bank(
        store,
        keyring=keyring,
        options=BankOptions.from_conf(conf),
        clock=clock,
        safety=Safety.from_conf(conf),
    )


def _master_keys(conf: cfg.ConfigOpts) -> MasterKeys:
    if conf.bank.master_keys and conf.bank.castellan_master_keys:
        raise exception.ConfigurationError(
            "[bank] master_keys, castellan_master_keys: both are set; set one of them, not both"
        )
    if conf.bank.castellan_master_keys:
        return CastellanMasterKeys(conf, conf.bank.castellan_master_keys, conf.bank.key_manager_timeout)
    return ConfiguredMasterKeys(conf.bank.master_keys)
