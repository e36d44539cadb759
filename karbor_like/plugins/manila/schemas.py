"""The JSON schemas of the plugin that keeps snapshots in Manila."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.plugins.toolkit import names, snapshots

#: Values of the restore parameter ``access_rules``.
KEEP: Final = "keep"
NONE: Final = "none"

# Clients know the members without restore_description, availability_zone and access_rules. Manila gives a share of a snapshot
# the share type and the share network of the snapshot's share, and refuses others: there are no parameters for them. See
# Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Manila Protection Options",
    "type": "object",
    "properties": {
        **snapshots.OPTION_PROPERTIES,
        "force": {
            "type": "boolean",
            "title": "Force",
            "description": "Has no effect: Manila takes snapshots of shares that are mounted.",
            "default": False,
        },
    },
    "required": ["snapshot_name", "force"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Manila Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            **names.NAME,
            "title": "Restore Name",
            "description": "The name of the restored share.",
            "default": None,
        },
        "restore_description": {
            **names.DESCRIPTION,
            "title": "Restore Description",
            "description": "The description of the restored share.",
            "default": None,
        },
        **names.PREFIX_PROPERTIES,
        "availability_zone": {
            **names.NAME,
            "title": "Availability Zone",
            "description": "The availability zone of the restored share. Most clouds accept that of the original only.",
            "default": None,
        },
        "access_rules": {
            "type": "string",
            "title": "Access Rules",
            "description": "keep: the restored share gets the access rules of the original; none: it gets none.",
            "enum": [KEEP, NONE],
            "default": KEEP,
        },
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Manila Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}
