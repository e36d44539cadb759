"""One volume, as the subject of the demonstration."""

from typing import Final

from karbor_like.cmd.demo.tenant import Json, Tenant, random_bytes
from karbor_like.domain.resource import VOLUME

_NAME: Final = "data-1"


class OneVolume:
    """A volume of 1 GiB.

    :param mebibytes: random data in it
    """

    note = ""

    def __init__(self, tenant: Tenant, mebibytes: int = 128) -> None:
        self._tenant = tenant
        self._mebibytes = mebibytes

    def create(self) -> Json:
        """Create the volume."""
        volume = self._tenant.volume(_NAME, metadata={"role": "db"})
        self._tenant.cloud.write_volume(volume.id, random_bytes(1, self._mebibytes))
        return {"type": VOLUME, "id": volume.id, "name": _NAME}

    def look(self) -> dict[str, str]:
        """Return the number of volumes, and the properties and the digest of the volume."""
        volumes = self._tenant.cinder.volumes.list(search_opts={"name": _NAME})
        looks = {"volumes": str(len(volumes))}
        for volume in volumes:
            looks |= {"size": f"{volume.size} GiB", "metadata": str(volume.metadata)}
            looks["SHA-256"] = self._tenant.cloud.volume_digest(volume.id)
        return looks

    def delete(self) -> None:
        """Delete the volume."""
        self._tenant.delete_volumes(name=_NAME)
