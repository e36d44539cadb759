"""The description of a database instance in the bank. Its databases and users are in the backup."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.plugins.toolkit import schemas
from karbor_like.plugins.toolkit.schemas import FLAG, TEXT, TEXT_OR_NULL

Values = Mapping[str, Any]

_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}\\Z"}
_ID_OR_NULL: Final = {"anyOf": [_ID, {"type": "null"}]}
_SIZE: Final = {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000}

INSTANCE: Final = schemas.record(
    id=_ID,
    name=TEXT,
    datastore=schemas.record(type=TEXT, version=TEXT),
    flavor=schemas.record(id=TEXT, name=TEXT_OR_NULL),
    volume=_SIZE,
    networks=schemas.array(_ID, 100),
    configuration=_ID_OR_NULL,
    access={
        "anyOf": [
            schemas.record(is_public=FLAG, allowed_cidrs=schemas.array({"type": "string", "maxLength": 50})),
            {"type": "null"},
        ]
    },
    replica_of=_ID_OR_NULL,
)

BACKUP: Final = schemas.record(
    id=_ID, operation=_ID, size={"type": ["number", "null"], "minimum": 0, "maximum": 1_000_000}
)

SCHEMA: Final = {
    "type": "object",
    "properties": {"instance": INSTANCE, "backup": BACKUP},
    "required": ["instance", "backup"],
}


def describe(instance: Values, flavors: Sequence[Values]) -> dict[str, Any]:
    """Return the description of an instance. The size of its volume is in GiB.

    :param instance: as Trove shows it
    :param flavors: as Trove lists them
    """
    datastore, flavor = _object(instance.get("datastore")), str(_object(instance.get("flavor")).get("id"))
    addresses = [_object(each).get("network") for each in instance.get("addresses") or ()]
    access = _object(instance.get("access"))
    return {
        "id": instance["id"],
        "name": instance.get("name") or "",
        "datastore": {"type": datastore.get("type"), "version": datastore.get("version")},
        "flavor": {"id": flavor, "name": next((each["name"] for each in flavors if each["id"] == flavor), None)},
        "volume": _object(instance.get("volume")).get("size"),
        # Versions before 2021 do not show networks.
        "networks": sorted({str(network) for network in addresses if network}),
        "configuration": _object(instance.get("configuration")).get("id"),
        "access": {
            "is_public": bool(access.get("is_public")),
            "allowed_cidrs": [*(access.get("allowed_cidrs") or ())],
        }
        if access
        else None,
        "replica_of": _object(instance.get("replica_of")).get("id"),
    }


def _object(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}
