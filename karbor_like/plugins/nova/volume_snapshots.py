"""Snapshots of all volumes of a server that boots from a volume, in one request to Nova.

Nova lets the guest write everything to its disks before, if its image says that it has an agent for that.
"""

from collections.abc import Mapping
from typing import Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder.server_snapshots import ServerSnapshots
from karbor_like.plugins.nova import objects, reading
from karbor_like.plugins.nova.objects import Servers
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects

#: Role of the image that names the snapshots, and of those that no volume has taken over.
SNAPSHOTS: Final = "volume-snapshots"


def take(context: HookContext) -> None:
    """Take the snapshots, which the volumes of the operation then take over. Idempotent.

    A server that does not run writes nothing, so its volumes take their own.

    Raises ResourceNotProtectable if Nova refuses, for example because the guest does not answer.
    """
    server_id = context.resource.id
    if context.journal.peek(SNAPSHOTS) is None and objects.wait_until_idle(context, server_id).status != Servers.ready:
        return
    context.report.step("taking snapshots of all volumes of the server")

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"taking snapshots of the volumes of server {server_id}"):
            reading.newest(context.clients).servers.create_image(server_id, name, dict(markers))
        return name

    try:
        cloud_objects.ensure(context, ServerSnapshots(context.clients), SNAPSHOTS, create)
    except exception.Conflict as error:
        raise exception.ResourceNotProtectable(error.message) from error
