"""The JSON schemas of the plugin that keeps snapshots in Cinder."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.plugins.cinder import restored
from karbor_like.plugins.toolkit import snapshots

# Clients know the members without mode, volume_type and availability_zone. See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Options",
    "type": "object",
    "properties": {
        **snapshots.OPTION_PROPERTIES,
        "force": {
            "type": "boolean",
            "title": "Force",
            "description": "Has no effect: volumes in use are always snapshotted.",
            "default": False,
        },
    },
    "required": ["snapshot_name", "force"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Restore",
    "type": "object",
    "properties": {
        **restored.NAME_PROPERTIES,
        "mode": {
            "type": "string",
            "title": "Mode",
            "description": (
                "new: create a volume; revert: replace the bytes of the original volume, which must be available and have no"
                " later snapshot."
            ),
            "enum": ["new", "revert"],
            "default": "new",
        },
        **restored.PLACEMENT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}
