"""The service catalogue, with URLs for the address that the client used to reach the sandbox."""

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
    ("neutron", "network", "network"),
    ("manila", "shared-file-system", "share/v2"),
    ("trove", "database", "database/v1.0/%(project_id)s"),
    ("heat", "orchestration", "orchestration/v1/%(project_id)s"),
)
"""Name, type and path of the sandbox's own services."""


class Catalogue:
    """The catalogue of the sandbox's own services and of the endpoints in the settings."""

    def __init__(self, settings: state.Settings) -> None:
        self._settings = settings

    def entries(self, base_url: str) -> list[tuple[str, str, str]]:
        """List name, type and URL of each service, with a placeholder for the project."""
        own = [(name, kind, f"{base_url}/{path}") for name, kind, path in SERVICES if self._has(kind)]
        return own + [(kind, kind, url) for kind, url in sorted(self._settings.endpoints.items())]

    def _has(self, kind: str) -> bool:
        return kind != "orchestration" or self._settings.orchestration

    def of(self, base_url: str, project_id: str) -> list[dict[str, Any]]:
        """Return the catalogue in the form of a token."""
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
