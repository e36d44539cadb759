"""The JSON schemas of the plugin that makes backups with Cinder."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.plugins.cinder import restored
from karbor_like.plugins.toolkit import names

# Clients know the members without volume_type and availability_zone. See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            **names.NAME,
            "title": "Backup Name",
            "description": "The name of the backup.",
            "default": None,
        },
        "backup_mode": {
            "type": "string",
            "title": "Backup Mode",
            "description": (
                "full: each backup has all bytes; incremental: it has the bytes that changed since the latest backup of the"
                " volume, and depends on it."
            ),
            "enum": ["full", "incremental"],
            "default": "full",
        },
        "container": {
            **names.NAME,
            "title": "Container",
            "description": "The container of Cinder's store in which the backup is placed.",
            "default": None,
        },
        "description": {
            **names.DESCRIPTION,
            "title": "Description",
            "description": "The description of the backup.",
        },
        "force": {
            "type": "boolean",
            "title": "Force",
            "description": "Has no effect: volumes in use are always backed up, from a snapshot.",
            "default": False,
        },
    },
    "required": ["backup_name", "backup_mode", "container", "force"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Restore",
    "type": "object",
    "properties": {
        "volume_id": {
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\\s\\S])",
            "maxLength": 36,
            "title": "Volume ID",
            "description": (
                "The target volume ID to restore to. All its bytes are replaced. It must be available and have the size of"
                " the backup."
            ),
            "default": None,
        },
        **restored.NAME_PROPERTIES,
        **restored.PLACEMENT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Saved Info",
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Name", "description": "The name of the backup."},
        "is_incremental": {
            "type": "boolean",
            "title": "Is Incremental",
            "description": "Whether the backup depends on an earlier one.",
        },
        "status": {
            "type": "string",
            "title": "Status",
            "description": "The status of the backup, such as available.",
            "enum": ["creating", "available", "deleting", "error", "restoring", "error_deleting"],
        },
        "progress": {"type": "number", "title": "Progress", "description": "The progress of the backup."},
        "fail_reason": {"type": "string", "title": "Fail Reason", "description": "Why the backup failed."},
        "size": {"type": "integer", "title": "Size", "description": "The size of the backup in GiB."},
        "volume_id": {"type": "string", "title": "Volume ID", "description": "The ID of the volume."},
    },
    "required": ["name", "status", "progress", "fail_reason", "size", "volume_id"],
}
