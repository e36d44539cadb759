"""The service catalogue, made for the address by which the client reached the sandbox."""

import hashlib
from typing import Any

from karbor_like.sandbox import state

REGION = "RegionOne"
SERVICES = (
    ("keystone", "identity", "identity"),
    ("glance", "image", "image"),
    ("cinderv3", "volumev3", "volume/v3/%(project_id)s"),
    ("cinder", "block-storage", "volume/v3/%(project_id)s"),
    ("swift", "object-store", "object-store/v1/AUTH_%(project_id)s"),
    ("nova", "compute", "compute/v2.1"),
)
"""Name, type and path of what the sandbox itself serves."""


class Catalogue:
    """Built from the table above and from the endpoints of the settings."""

    def __init__(self, settings: state.Settings) -> None:
        self._settings = settings

    def entries(self, base_url: str) -> list[tuple[str, str, str]]:
        """Name, type and URL with the project's place left open."""
        own = [(name, kind, f"{base_url}/{path}") for name, kind, path in SERVICES]
        return own + [(kind, kind, url) for kind, url in sorted(self._settings.endpoints.items())]

    def of(self, base_url: str, project_id: str) -> list[dict[str, Any]]:
        """The catalogue as a token holds it."""
        return [
            {
                "id": _id(kind),
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": _id(kind + interface),
                        "interface": interface,
                        "region": REGION,
                        "region_id": REGION,
                        "url": url.replace("%(project_id)s", project_id),
                    }
                    for interface in ("public", "internal", "admin")
                ],
            }
            for name, kind, url in self.entries(base_url)
        ]


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
