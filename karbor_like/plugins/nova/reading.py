"""Reads a server from Nova and Neutron, for its description."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from novaclient import api_versions

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.nova.description import Answers

#: The newest microversion that this code knows. It shows the availability zone that was asked for.
NEWEST: Final = "2.96"
#: Since this microversion, Nova shows the properties of a server's flavor, and no longer its id.
_EMBEDDED_FLAVOR: Final = api_versions.APIVersion("2.47")
#: Server groups in one page.
_PAGE: Final = 500

Objects = list[dict[str, Any]]


def newest(clients: Clients) -> Any:
    """Return a novaclient that speaks the newest microversion that the cloud offers, at most :data:`NEWEST`.

    Raises the exceptions of :func:`~karbor_like.clients.errors.translated`.
    """
    with translated("the versions of Nova"):
        offered = getattr(clients.nova().versions.get_current(), "version", "") or "2.1"
    wanted = min(api_versions.APIVersion(offered), api_versions.APIVersion(NEWEST))
    return clients.nova(wanted.get_string())


def is_at_least(nova: Any, version: str) -> bool:
    """Return whether a novaclient speaks a microversion or a newer one."""
    return bool(nova.api_version >= api_versions.APIVersion(version))


def read(clients: Clients, server_id: str, service: Clients | None = None) -> tuple[Answers, dict[str, Any]]:
    """Return what the services say about a server, and the server as Nova shows it to administrators.

    The latter is empty if the service user is not an administrator.

    :param service: as :attr:`karbor_like.plugins.protection.HookContext.service`

    Raises ResourceNotFound, also if the server is another project's, and the exceptions of
    :func:`~karbor_like.clients.errors.translated`.
    """
    nova, what = newest(clients), f"server {server_id}"
    with translated(what):
        server = nova.servers.get(server_id).to_dict()
        if server.get("tenant_id") != clients.project_id:
            raise exception.ResourceNotFound(f"{what} does not exist")
        old = clients.nova().servers.get(server_id).to_dict()
        if nova.api_version < _EMBEDDED_FLAVOR:
            server["flavor"] = _flavor(clients, old["flavor"]["id"])
        volumes = [each.to_dict() for each in nova.volumes.get_server_volumes(server_id)]
        interfaces = [each.to_dict() for each in nova.servers.interface_list(server_id)]
    admin = _as_administrator(service, server)
    answers = Answers(
        server=server,
        old=old,
        volumes=volumes,
        interfaces=interfaces,
        image_name=_image_name(clients, server),
        key_pair=_key_pair(clients, nova, server),
        **_group(nova, server_id),
        root_device=admin.get("OS-EXT-SRV-ATTR:root_device_name"),
        networks=_networks(clients, server_id) if interfaces else {},
    )
    return answers, admin


def _as_administrator(service: Clients | None, server: Mapping[str, Any]) -> dict[str, Any]:
    """Return the server with the members that Nova shows to administrators only; nothing if it cannot be read so."""
    if service is None:
        return {}
    try:
        with translated(f"server {server['id']}"):
            found: dict[str, Any] = newest(service).servers.get(server["id"]).to_dict()
    except (exception.NotFound, exception.NotAuthorized, exception.ConfigurationError):
        return {}  # the service user is no administrator
    return found if found.get("tenant_id") == server["tenant_id"] else {}


def _flavor(clients: Clients, flavor_id: str) -> dict[str, Any]:
    try:
        with translated(f"flavor {flavor_id}"):
            flavor = clients.nova().flavors.get(flavor_id)
            return {**flavor.to_dict(), "extra_specs": flavor.get_keys()}
    except exception.NotFound as error:
        raise exception.ResourceNotProtectable(
            f"flavor {flavor_id} was deleted, and this version of Nova shows its properties nowhere else"
        ) from error


def _image_name(clients: Clients, server: Mapping[str, Any]) -> str | None:
    if not server.get("image"):
        return None
    try:
        with translated("the image of the server"):
            return str(clients.glance().images.get(server["image"]["id"]).name or "")
    except exception.NotFound:
        return None


def _key_pair(clients: Clients, nova: Any, server: Mapping[str, Any]) -> dict[str, Any] | None:
    name = server.get("key_name")
    # The name belongs to the user who created the server; other users may have another key of that name.
    if not name or server.get("user_id") != clients.context.user_id:
        return None
    try:
        return find_key_pair(nova, name)
    except exception.NotFound:
        return None


def find_key_pair(nova: Any, name: str) -> dict[str, Any]:
    """Return a key pair of the calling user. Raises ResourceNotFound."""
    with translated(f"key pair {name!r}"):
        found: dict[str, Any] = nova.keypairs.get(quote(name, safe="")).to_dict()
    return found.get("keypair", found)


def server_groups(nova: Any) -> Objects:
    """Return the server groups of the project."""
    found: dict[str, dict[str, Any]] = {}
    with translated("the server groups of the project"):
        while page := nova.server_groups.list(limit=_PAGE, offset=len(found)):
            before = len(found)
            found.update((group.id, group.to_dict()) for group in page)
            if len(page) < _PAGE or len(found) == before:
                break
    return [*found.values()]


def _group(nova: Any, server_id: str) -> dict[str, Any]:
    """Return the arguments of :class:`Answers` about the server group."""
    try:
        groups = server_groups(nova)
    except (exception.NotFound, exception.NotAuthorized) as error:
        return {"hidden_groups": exception.public_text(error)}
    return {"group": next((group for group in groups if server_id in (group.get("members") or ())), None)}


def _networks(clients: Clients, server_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    neutron = clients.neutron()

    def those(collection: str, **filters: Any) -> Objects:
        return neutron.list(collection, **filters) if all(filters.values()) else []

    with translated(f"the ports of server {server_id}"):
        ports = neutron.list("ports", device_id=server_id)
        networks = sorted({str(port["network_id"]) for port in ports})
        groups = sorted({str(group) for port in ports for group in port.get("security_groups") or ()})
        return {
            "ports": ports,
            "networks": those("networks", id=networks),
            "subnets": those("subnets", network_id=networks),
            "security-groups": those("security-groups", id=groups),
            "floatingips": those("floatingips", port_id=[port["id"] for port in ports]),
            # Neutron shows details of the trunks of ports.
            "trunks": those("trunks", port_id=[port["id"] for port in ports if port.get("trunk_details")]),
        }
