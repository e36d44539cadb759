"""The JSON schema of an image, which glanceclient fetches before it creates or shows images."""

from typing import Any

from karbor_like.sandbox.image import images

TEXT = {"type": ["null", "string"]}

IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": ["null", "string"], "maxLength": 255},
        "status": {"type": "string", "readOnly": True},
        "visibility": {"type": "string", "enum": list(images.FORMATS["visibility"])},
        "protected": {"type": "boolean"},
        "os_hidden": {"type": "boolean"},
        "checksum": {**TEXT, "readOnly": True},
        "os_hash_algo": {**TEXT, "readOnly": True},
        "os_hash_value": {**TEXT, "readOnly": True},
        "owner": TEXT,
        "size": {"type": ["null", "integer"], "readOnly": True},
        "virtual_size": {"type": ["null", "integer"], "readOnly": True},
        "container_format": {"type": ["null", "string"], "enum": [None, *images.FORMATS["container_format"]]},
        "disk_format": {"type": ["null", "string"], "enum": [None, *images.FORMATS["disk_format"]]},
        "created_at": {"type": "string", "readOnly": True},
        "updated_at": {"type": "string", "readOnly": True},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}},
        "min_ram": {"type": "integer"},
        "min_disk": {"type": "integer"},
        "self": {"type": "string", "readOnly": True},
        "file": {"type": "string", "readOnly": True},
        "schema": {"type": "string", "readOnly": True},
    },
    "additionalProperties": {"type": "string"},
    "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}],
}

MEMBER: dict[str, Any] = {
    "name": "member",
    "properties": {name: {"type": "string"} for name in ("image_id", "member_id", "status", "schema")},
}

IMAGES: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE},
        "schema": {"type": "string"},
        "next": {"type": "string"},
        "first": {"type": "string"},
    },
}
