"""The quotas of a project in Cinder, Nova, Neutron and Manila."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain.quota import UNLIMITED, Quota

#: Quotas of one service, at most: Cinder has some for each volume type.
_MOST: Final = 1000
_LONGEST: Final = 255
#: What is read of Nova, which shows quotas of networks to old clients.
_COMPUTE: Final = frozenset(
    {"instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members", "metadata_items"}
)
#: Quotas of Manila that are called as some of Cinder, and the names that they have here.
_OF_SHARES: Final = {name: f"share_{name}" for name in ("gigabytes", "snapshots", "backups", "backup_gigabytes")}

Quotas = Mapping[str, Quota]


def volume(clients: Clients, project_id: str | None = None) -> Quotas:
    """Return the quotas of Cinder, such as ``volumes`` and ``gigabytes``, by name.

    :param project_id: None: the project of the clients

    Raises the exceptions of :func:`~karbor_like.clients.errors.translated`.
    """
    with translated("the quotas of volumes"):
        found = clients.cinder().quotas.get(project_id or clients.project_id, usage=True).to_dict()
    return _quotas(found, "in_use")


def compute(clients: Clients, project_id: str | None = None) -> Quotas:
    """Return the quotas of Nova, such as ``instances``, ``cores`` and ``ram`` (MiB), by name; see :func:`volume`.

    Nova does not count key pairs, which belong to users: those of the user of *clients* are counted.
    """
    with translated("the quotas of servers"):
        nova = clients.nova()
        found = _quotas(nova.quotas.get(project_id or clients.project_id, detail=True).to_dict(), "in_use")
        quotas = {name: quota for name, quota in found.items() if name in _COMPUTE}
        if "key_pairs" in quotas:
            quotas["key_pairs"] = Quota(quotas["key_pairs"].limit, len(nova.keypairs.list()))
    return quotas


def network(clients: Clients, project_id: str | None = None) -> Quotas:
    """Return the quotas of Neutron, such as ``network`` and ``security_group_rule``, by name; see :func:`volume`."""
    with translated("the quotas of networks"):
        found = clients.neutron().show("quotas", f"{project_id or clients.project_id}/details.json")
    return _quotas(found, "used")


def share(clients: Clients, project_id: str | None = None) -> Quotas:
    """Return the quotas of Manila, such as ``shares`` and ``share_gigabytes``, by name; see :func:`volume`."""
    with translated("the quotas of shares"):
        found = clients.manila().show("quota-sets", f"{project_id or clients.project_id}/detail")
    return {_OF_SHARES.get(name, name): quota for name, quota in _quotas(found, "in_use").items()}


def _quotas(found: Mapping[str, Any], used: str) -> dict[str, Quota]:
    """Return what has the form of a quota with its use."""
    quotas: dict[str, Quota] = {}
    for name, each in found.items():
        if not isinstance(each, Mapping) or len(name) > _LONGEST or len(quotas) == _MOST:
            continue
        numbers = [number for member in ("limit", used, "reserved") if isinstance(number := each.get(member), int)]
        if len(numbers) == 3:
            limit, *uses = numbers
            quotas[name] = Quota(max(limit, UNLIMITED), sum(uses))
    return quotas


def _change_volume(clients: Clients, project_id: str, name: str, limit: int) -> None:
    with translated(f"changing the quota {name!r} of volumes"):
        clients.cinder().quotas.update(project_id, **{name: limit})


def _change_compute(clients: Clients, project_id: str, name: str, limit: int) -> None:
    with translated(f"changing the quota {name!r} of servers"):
        clients.nova().quotas.update(project_id, **{name: limit})


def _change_network(clients: Clients, project_id: str, name: str, limit: int) -> None:
    with translated(f"changing the quota {name!r} of networks"):
        clients.neutron().update("quotas", project_id, {name: limit})


def _change_share(clients: Clients, project_id: str, name: str, limit: int) -> None:
    names = {ours: theirs for theirs, ours in _OF_SHARES.items()}
    with translated(f"changing the quota {name!r} of shares"):
        clients.manila().update("quota-sets", project_id, {names.get(name, name): limit})


@dataclass(frozen=True)
class Service:
    """The quotas of one service.

    :param kind: type of its quotas in templates and plans
    :param read: returns the quotas of a project
    :param change: sets the limit of one quota, which only administrators may do: clients, project id, name, limit
    """

    kind: str
    read: Callable[[Clients, str | None], Quotas]
    change: Callable[[Clients, str, str, int], None]


#: The services that have quotas, by their names in documents.
SERVICES: Final[Mapping[str, Service]] = {
    "volume": Service("OS::Cinder::Quota", volume, _change_volume),
    "compute": Service("OS::Nova::Quota", compute, _change_compute),
    "network": Service("OS::Neutron::Quota", network, _change_network),
    "share": Service("OS::Manila::Quota", share, _change_share),
}
