"""The JSON schemas of the plugin for database instances."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.plugins.toolkit import names, planning

# Clients know the members without flavor, restore_net_id and availability_zone. See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Database Instance Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            **names.NAME,
            "title": "Backup Name",
            "description": "The name of the backup.",
            "default": None,
        },
        "description": {
            **names.DESCRIPTION,
            "title": "Description",
            "description": "The description of the backup. Trove shows it with the operation that made the backup.",
        },
    },
    "required": ["backup_name"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Database Instance Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            **names.NAME,
            "title": "Restore Database Instance Name",
            "description": "The name of the restored database instance. Default: that of the original.",
            "default": None,
        },
        **names.PREFIX_PROPERTIES,
        "flavor": {
            **names.NAME,
            "title": "Flavor",
            "description": "The name or the ID of the flavor of the restored database instance.",
            "default": None,
        },
        "restore_net_id": {
            "type": "string",
            "maxLength": 255,
            "title": "Restore Network ID",
            "description": "The network of the restored database instance, instead of the original one.",
            "default": None,
        },
        "availability_zone": {
            **names.NAME,
            "title": "Availability Zone",
            "description": "The availability zone of the restored database instance.",
            "default": None,
        },
        **planning.STRICT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Database Instance Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}

VERIFY_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Database Instance Protection Verify",
    "type": "object",
    "properties": {},
}
