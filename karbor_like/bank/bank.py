"""The entry to a bank: everything else reaches checkpoints, leases and data through a :class:`Bank`."""

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import options as bank_options
from karbor_like.bank.blocks.blockstore import BlockStore
from karbor_like.bank.checkpoints.checkpoints import Checkpoints
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import CastellanMasterKeys, ConfiguredMasterKeys, MasterKeys
from karbor_like.bank.leases import safety as margins
from karbor_like.bank.leases.lease import Lease, Leases
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import factory
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.options import BankOptions
from karbor_like.clock import Clock


class Bank:
    """A place where checkpoints are kept.

    :param store: with retries around it
    :param keyring: None: it is not encrypted
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
        self.checkpoints = Checkpoints(store, clock, keyring)
        self.leases = Leases(store, clock, safety)
        self._blocks = BlockStore(store, keyring, options)

    def section(
        self, checkpoint_id: str, project_id: str, resource_key: str, *, lease: Lease | None = None
    ) -> ResourceSection:
        """One resource's part of a checkpoint.

        :param resource_key: ``Type#id``
        :param lease: a write lease, for writing; None: for reading
        :raises CheckpointNotFound: the checkpoint was deleted
        """
        return ResourceSection(
            self.store,
            self._blocks,
            self.checkpoints.attempts(checkpoint_id, project_id),
            checkpoint_id=checkpoint_id,
            project_id=project_id,
            resource_key=resource_key,
            lease=lease,
        )

    def close(self) -> None:
        """Give back connections. The bank is not used afterwards."""
        self.store.close()


def open_bank(conf: cfg.ConfigOpts, name: str, clock: Clock) -> Bank:
    """The bank that a provider's file describes. Talks to nobody yet.

    :param conf: the provider's own configuration; the options of group ``[bank]`` and of the store are registered here
    :param name: of the store: an entry point of ``karbor_like.banks``
    :raises ConfigurationError: an option is missing or wrong
    """
    conf.register_opts([*bank_options.OPTS, *margins.OPTS], group=bank_options.GROUP)
    store = factory.open_store(conf, name, clock)
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
        raise exception.ConfigurationError("[bank] master_keys and castellan_master_keys: give one of them, not both")
    if conf.bank.castellan_master_keys:
        return CastellanMasterKeys(conf, conf.bank.castellan_master_keys)
    return ConfiguredMasterKeys(conf.bank.master_keys)
