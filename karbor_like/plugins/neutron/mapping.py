"""Which existing objects the request names in place of those of a checkpoint. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from karbor_like.plugins.neutron.schema import FLOATING_IP, MEMBERS, NET, PORT, QOS, ROUTER, TRUNK, Document, key
from karbor_like.plugins.neutron.target import EXTERNAL, Target

#: Parameters of the request.
NETWORK_MAP: Final = "network_map"
PUBLIC: Final = "public_network_id"
#: Types that a request may map.
_KINDS: Final = frozenset({*MEMBERS.values(), QOS})
#: Types of which one object cannot stand for two originals, and that only their project can use.
_EXCLUSIVE: Final = frozenset({PORT, FLOATING_IP, TRUNK})
_OWN: Final = _EXCLUSIVE | {ROUTER}


@dataclass
class Mapped:
    """The result: ``Type#id`` -> id in the target, and what is wrong, by ``Type#id`` of what it is about."""

    ids: dict[str, str] = field(default_factory=dict)
    conflicts: list[tuple[str, str]] = field(default_factory=list)


def external_networks(document: Document) -> set[str]:
    """Return the ids of the networks that routers and floating IPs of a description use as external ones."""
    gateways = {router["gateway_network_id"] for router in document["routers"]}
    floating = {floating["floating_network_id"] for floating in document["floating_ips"]}
    return {each for each in gateways | floating if each}


def resolve(
    document: Document, target: Target, parameters: Mapping[str, Any], mapping: Mapping[str, str], own_key: str
) -> Mapped:
    """Resolve all mappings of a request.

    :param parameters: of the request: ``network_map`` and ``public_network_id``
    :param mapping: of the request, by ``Type#id``
    :param own_key: ``Type#id`` of the resource that is restored, for conflicts about the request
    """
    mapped = Mapped()
    wanted: dict[str, str] = {}
    known = _known(document)

    def want(resource_key: str, value: str, parameter: str) -> None:
        if wanted.setdefault(resource_key, value) != value:
            mapped.conflicts.append(
                (resource_key, f"{parameter} maps it to {value}, but it is also mapped to {wanted[resource_key]}")
            )

    for resource_key, value in mapping.items():
        if resource_key in known and resource_key.partition("#")[0] in _KINDS:
            want(resource_key, value, "map_to")
    for name, value in (parameters.get(NETWORK_MAP) or {}).items():
        found = _named(document, known, name)
        if len(found) == 1:
            want(found[0], value, NETWORK_MAP)
        elif found:
            reason = f"{NETWORK_MAP}: {len(found)} networks of the checkpoint are named {name!r}: use their ids"
            mapped.conflicts.append((own_key, reason))
        else:
            mapped.conflicts.append((own_key, f"{NETWORK_MAP}: the checkpoint has no network {name!r}"))
    public, outside = parameters.get(PUBLIC), external_networks(document)
    for network in outside if public else ():
        want(key(NET, network), str(public), PUBLIC)
    for resource_key, value in wanted.items():
        is_outside = resource_key.startswith(f"{NET}#") and resource_key.partition("#")[2] in outside
        _look_up(mapped, target, resource_key, value, outside=is_outside)
    _require_distinct(mapped)
    return mapped


def _require_distinct(mapped: Mapped) -> None:
    """Replace mappings of several originals to one object that cannot stand for all of them by conflicts."""
    first: dict[str, str] = {}
    for resource_key, target_id in [*mapped.ids.items()]:
        if resource_key.partition("#")[0] in _EXCLUSIVE and first.setdefault(target_id, resource_key) != resource_key:
            del mapped.ids[resource_key]
            mapped.conflicts.append((resource_key, f"it is mapped to {target_id}, and so is {first[target_id]}"))


def _known(document: Document) -> set[str]:
    own = {key(kind, each["id"]) for member, kind in MEMBERS.items() for each in document[member]}
    return own | {key(each["type"], each["id"]) for each in document["foreign"]}


def _named(document: Document, known: Iterable[str], name: str) -> list[str]:
    """Return ``Type#id`` of what an id, or a name of a network, means."""
    if by_id := [each for each in known if each.partition("#")[2] == name]:
        return by_id
    networks = [*document["networks"], *(each for each in document["foreign"] if each["type"] == NET)]
    return [key(NET, each["id"]) for each in networks if each["name"] == name]


def _look_up(mapped: Mapped, target: Target, resource_key: str, value: str, *, outside: bool) -> None:
    kind = resource_key.partition("#")[0]
    found = target.seen(kind, value)
    if found is None:
        same = target.named(kind, value)
        if len(same) > 1:
            mapped.conflicts.append(
                (resource_key, f"it is mapped to {value!r}, the name of {len(same)} objects: use an id")
            )
            return
        found = same[0] if same else None
    if found is None:
        mapped.conflicts.append((resource_key, f"it is mapped to {value!r}, which the project does not see"))
    elif kind in _OWN and target.own(kind, found["id"]) is None:
        mapped.conflicts.append((resource_key, f"it is mapped to {value!r}, which belongs to another project"))
    elif outside and not found.get(EXTERNAL):
        mapped.conflicts.append((resource_key, f"it is mapped to {value!r}, which is not an external network"))
    else:
        mapped.ids[resource_key] = found["id"]
