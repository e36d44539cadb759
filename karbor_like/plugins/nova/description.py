"""The description of a server: one JSON document, made of the answers of Nova and Neutron. Pure functions.

The document names resources by their ids at the time of the description.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.neutron import description as network
from karbor_like.plugins.toolkit import ownership, schemas

Values = Mapping[str, Any]
Document = dict[str, Any]

_ID: Final = {"type": "string", "pattern": r"^(?!\.+$)[A-Za-z0-9_.-]{1,255}(?![\s\S])"}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 4294967295}


def _map(values: Values) -> Values:
    return {"type": "object", "maxProperties": 1000, "propertyNames": schemas.TEXT, "additionalProperties": values}


def _or_null(schema: Values) -> Values:
    return {"anyOf": [schema, {"type": "null"}]}


FLAVOR: Final = schemas.record(
    id=schemas.TEXT_OR_NULL,
    name=schemas.TEXT,
    vcpus=_NUMBER,
    ram=_NUMBER,
    disk=_NUMBER,
    ephemeral=_NUMBER,
    swap=_NUMBER,
    extra_specs=_map(schemas.TEXT),
)
KEY_PAIR: Final = schemas.record(
    name={"type": "string", "pattern": r"^(?!\.+$)[A-Za-z0-9 _@.-]{1,255}(?![\s\S])"},
    public_key={"type": "string", "maxLength": 65536},
    type={"enum": ["ssh", "x509"]},
    fingerprint=schemas.TEXT,
)
SCHEMA: Final[Values] = schemas.record(
    id=_ID,
    name=schemas.TEXT,
    description=schemas.TEXT_OR_NULL,
    hostname=schemas.TEXT_OR_NULL,
    status={"type": "string", "maxLength": 64},
    locked=schemas.FLAG,
    metadata=_map(schemas.TEXT),
    tags=schemas.array(schemas.TEXT),
    config_drive=schemas.FLAG,
    disk_config={"enum": ["AUTO", "MANUAL", None]},
    flavor=FLAVOR,
    image=_or_null(schemas.record(id=_ID, name=schemas.TEXT_OR_NULL)),
    zone=schemas.record(pinned=schemas.TEXT_OR_NULL, actual=schemas.TEXT_OR_NULL),
    volumes=schemas.array(
        schemas.record(
            id=_ID,
            device=schemas.TEXT_OR_NULL,
            tag=schemas.TEXT_OR_NULL,
            delete_on_termination=schemas.FLAG,
            is_root=schemas.FLAG,
        )
    ),
    interfaces=schemas.array(schemas.record(port_id=_ID, tag=schemas.TEXT_OR_NULL)),
    key_name=schemas.TEXT_OR_NULL,
    key_pair=_or_null(KEY_PAIR),
    group=_or_null(
        schemas.record(id=_ID, name=schemas.TEXT, policy=schemas.TEXT, max_server_per_host=_or_null(_NUMBER))
    ),
)


@dataclass(frozen=True)
class Answers:
    """What the services said about a server.

    :param server: Nova's newest form of it, as a JSON object
    :param old: its form before microversion 2.47, which names the id of the flavor
    :param volumes: its attachments, in order
    :param interfaces: Nova's view of its ports
    :param image_name: name of its image, None if it is not known
    :param key_pair: its key pair, None if it cannot be read
    :param group: the server group that it is a member of
    :param hidden_groups: why Nova does not show the server groups, or an empty text
    :param root_device: name of its root device, which Nova shows to administrators only
    :param networks: its ports, and their networks, subnets, security groups and floating IPs, by Neutron's collection
    """

    server: Values
    old: Values
    volumes: Sequence[Values] = ()
    interfaces: Sequence[Values] = ()
    image_name: str | None = None
    key_pair: Values | None = None
    group: Values | None = None
    hidden_groups: str = ""
    root_device: str | None = None
    networks: Mapping[str, Sequence[Values]] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """Two documents, of the server and of its ports, and sentences on what they do not contain."""

    server: Document
    ports: Document
    remarks: Sequence[str]


def describe(project_id: str, answers: Answers) -> Description:
    """Describe a server of a project.

    Raises Unavailable if an answer is not what the API describes.
    """
    remarks: list[str] = []
    try:
        document = _document(answers, remarks)
        wrong = schemas.error(document, SCHEMA)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of another shape than the API describes
        wrong = repr(error)[: schemas.LONGEST_ERROR]
    if wrong:
        raise exception.Unavailable(f"server {answers.server.get('id')}: Nova's answers cannot be understood: {wrong}")
    # The rules are not part of a server.
    groups = [{**group, "security_group_rules": []} for group in answers.networks.get("security-groups", ())]
    ports = network.describe(project_id, {**answers.networks, "security-groups": groups}, {})
    known = {port["id"] for port in ports.document["ports"]}
    remarks += [
        f"port {each['port_id']} is not in the checkpoint, because it is not the project's: the restored server gets no"
        " interface instead of it"
        for each in document["interfaces"]
        if each["port_id"] not in known
    ]
    return Description(document, ports.document, [*remarks, *ports.remarks])


def checked(document: Any) -> Document:
    """Return a document from a bank. Raises ResourceFailed if it is not one that :func:`describe` makes."""
    return schemas.valid(document, SCHEMA, "the stored description of the server")


def _document(answers: Answers, remarks: list[str]) -> Document:
    server = answers.server
    missing = [name for name, member in _NEW.items() if member not in server]
    if missing:
        remarks.append(f"Nova is too old to show {', '.join(missing)} of the server: they are not in the checkpoint")
    if answers.hidden_groups:
        remarks.append(
            f"the server group of the server, if it has one, is not in the checkpoint: {answers.hidden_groups}"
        )
    image = server.get("image") or None
    return {
        "id": server["id"],
        "name": server.get("name") or "",
        "description": server.get("description"),
        "hostname": server.get("OS-EXT-SRV-ATTR:hostname"),
        "status": server["status"],
        "locked": bool(server.get("locked")),
        "metadata": {name: value for name, value in server["metadata"].items() if name not in ownership.ALL},
        "tags": sorted(server.get("tags") or ()),
        "config_drive": server.get("config_drive") in ("True", "true", True),
        "disk_config": server.get("OS-DCF:diskConfig"),
        "flavor": _flavor(server["flavor"], answers.old.get("flavor") or {}),
        "image": {"id": image["id"], "name": answers.image_name} if image else None,
        "zone": {
            "pinned": server.get("pinned_availability_zone"),
            "actual": server.get("OS-EXT-AZ:availability_zone"),
        },
        "volumes": _volumes(answers, is_volume_boot=not image),
        "interfaces": [{"port_id": each["port_id"], "tag": each.get("tag")} for each in _interfaces(answers)],
        "key_name": server.get("key_name"),
        "key_pair": _key_pair(answers, remarks),
        "group": _group(answers.group),
    }


#: What a server has -> the member that shows it, which newer microversions add.
_NEW: Final = {
    "description": "description",
    "tags": "tags",
    "host name": "OS-EXT-SRV-ATTR:hostname",
    "requested availability zone": "pinned_availability_zone",
}


def _flavor(flavor: Values, old: Values) -> dict[str, Any]:
    return {
        "id": old.get("id"),
        "name": flavor.get("original_name") or flavor.get("name") or "",
        "vcpus": flavor["vcpus"],
        "ram": flavor["ram"],
        "disk": flavor["disk"],
        "ephemeral": flavor.get("ephemeral") or flavor.get("OS-FLV-EXT-DATA:ephemeral") or 0,
        "swap": flavor.get("swap") or 0,
        "extra_specs": flavor.get("extra_specs") or {},
    }


def _volumes(answers: Answers, *, is_volume_boot: bool) -> list[dict[str, Any]]:
    endings = {
        each["id"]: bool(each.get("delete_on_termination"))
        for each in answers.server.get("os-extended-volumes:volumes_attached") or ()
    }
    found = [
        {
            "id": each["volumeId"],
            "device": each.get("device"),
            "tag": each.get("tag"),
            "delete_on_termination": bool(each.get("delete_on_termination", endings.get(each["volumeId"], False))),
            "is_root": False,
        }
        for each in answers.volumes
    ]
    if is_volume_boot and found:
        devices = [each["device"] or "" for each in found]
        # Without a name of the root device, it is the first device.
        known = (
            answers.root_device if answers.root_device in devices else min(devices, key=lambda d: (not d, len(d), d))
        )
        found[devices.index(known)]["is_root"] = True
    return found


def _interfaces(answers: Answers) -> list[Values]:
    """Return the interfaces in the order in which the guest has them.

    Nova lists them as Neutron does, in the order of ids. It shows addresses in the order of the interfaces, by network.
    """
    shown = (answers.server.get("addresses") or {}).values()
    macs = dict.fromkeys(each.get("OS-EXT-IPS-MAC:mac_addr") for listed in shown for each in listed)
    places = {mac: place for place, mac in enumerate(macs)}
    return sorted(answers.interfaces, key=lambda each: places.get(each.get("mac_addr"), len(places)))


def _key_pair(answers: Answers, remarks: list[str]) -> dict[str, Any] | None:
    name, found = answers.server.get("key_name"), answers.key_pair
    if not name:
        return None
    if found is None:
        remarks.append(
            f"the public key of key pair {name!r} cannot be read: it belongs to another user, or was deleted"
        )
        return None
    return key_pair(found)


def key_pair(found: Values) -> dict[str, Any]:
    """Return the description of a key pair."""
    return {
        "name": found["name"],
        "public_key": found["public_key"],
        "type": found.get("type") or "ssh",
        "fingerprint": found["fingerprint"],
    }


def _group(group: Values | None) -> dict[str, Any] | None:
    if group is None:
        return None
    rules = group.get("rules") or {}
    limit = rules.get("max_server_per_host")
    return {
        "id": group["id"],
        "name": group["name"],
        "policy": group.get("policy") or next(iter(group.get("policies") or ()), ""),
        "max_server_per_host": None if limit is None else int(limit),
    }
