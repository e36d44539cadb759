"""Assembly of the sandbox from state, services, fault injection and server, in the order of their dependencies."""

from pathlib import Path

from karbor_like import clock as clocks
from karbor_like.sandbox import app, containers, control, faults, jobs, server, state
from karbor_like.sandbox.compute import service as compute
from karbor_like.sandbox.database import service as database
from karbor_like.sandbox.identity import accounts, catalogue, credentials, tokens, trusts
from karbor_like.sandbox.identity import service as identity
from karbor_like.sandbox.image import images
from karbor_like.sandbox.image import service as image
from karbor_like.sandbox.network import service as network
from karbor_like.sandbox.objectstore import objects
from karbor_like.sandbox.objectstore import service as objectstore
from karbor_like.sandbox.orchestration import service as orchestration
from karbor_like.sandbox.orchestration import stacks
from karbor_like.sandbox.share import service as share
from karbor_like.sandbox.volume import (
    attachments,
    backuproutes,
    backups,
    backupstore,
    grouproutes,
    groups,
    messages,
    quotaroutes,
    quotas,
    records,
    snapshots,
    volumes,
)
from karbor_like.sandbox.volume import service as volume


class World:
    """A sandbox on a state directory.

    :param backups_dir: directory of the bytes of backups, which sandboxes may share; by default a part of *path*
    :raises StateInUse: another sandbox uses the directory
    """

    def __init__(self, path: Path, clock: clocks.Clock, backups_dir: Path | None = None) -> None:
        self._directory = state.StateDirectory(path)
        self._store = state.Store(path / "state.sqlite")
        settings = state.Settings.load(self._store)
        self._jobs = jobs.Jobs(clock, settings)
        self._switchboard = faults.Switchboard()

        account_store = accounts.Accounts(self._store)
        account_store.seed()
        token_store = tokens.Tokens(self._store, settings, clock, account_store)
        trust_store = trusts.Trusts(self._store, clock, account_store)
        image_store = images.Images(self._store, self._directory.folder("images"), clock, settings)
        message_store = messages.Messages(self._store, clock)
        quota_store = quotas.Quotas(self._store)
        common = records.Common(self._store, clock, self._jobs, message_store, quota_store)
        snapshot_store = snapshots.Snapshots(common, self._directory.folder("snapshots"))
        volume_store = volumes.Volumes(common, self._directory.folder("volumes"), image_store, snapshot_store)
        backup_store = backups.Backups(
            common, backupstore.BackupStore(backups_dir or path / "backups"), volume_store, snapshot_store
        )
        group_types = groups.GroupTypes(self._store)
        group_store = groups.Groups(common, group_types, volume_store)
        group_snapshots = groups.GroupSnapshots(common, group_store, snapshot_store)
        volume_parts = (
            backuproutes.BackupRoutes(backup_store),
            quotaroutes.QuotaRoutes(quota_store),
            attachments.AttachmentRoutes(attachments.Attachments(common, volume_store)),
            grouproutes.GroupRoutes(group_types, group_store, group_snapshots, volume_store),
        )
        share_service = share.ShareService(self._store, clock, self._jobs)
        network_service = network.NetworkService(self._store, clock)
        stack_store = stacks.Stacks(
            self._store, clock, self._jobs, account_store, token_store, lambda: self.application
        )
        services = (
            identity.IdentityService(
                account_store,
                token_store,
                trust_store,
                credentials.ApplicationCredentials(self._store, account_store),
                catalogue.Catalogue(settings),
            ),
            image.ImageService(image_store, self._jobs),
            volume.VolumeService(volume_store, snapshot_store, message_store, volume_parts),
            objectstore.ObjectStoreService(objects.Objects(self._store, self._directory.folder("objects"), clock)),
            compute.ComputeService(
                self._store, clock, self._jobs, image_store, volume_store, snapshot_store, network_service
            ),
            network_service,
            share_service,
            database.DatabaseService(self._store, clock, self._jobs),
            containers.ContainerService(self._store, self._jobs),
            orchestration.OrchestrationService(stack_store),
            control.ControlService(
                self._store,
                settings,
                self._switchboard,
                token_store,
                volume_store,
                snapshot_store,
                share_service.shares,
            ),
        )
        for service in services:
            service.recover()
        self.application = app.Application(services, token_store, self._switchboard, self._jobs)
        self._server: server.Server | None = None

    def serve(self, host: str, port: int) -> str:
        """Start to serve on an address, and return the URL."""
        self._server = server.Server(self.application, host, port)
        return self._server.start()

    def stop(self) -> None:
        """Close all connections, end all background jobs and release the state directory."""
        self._switchboard.clear()
        self._jobs.stop()
        if self._server:
            self._server.stop()
        self._store.close()
        self._directory.close()
