"""A resource of the cloud that can be protected: a volume, a server, an image ..."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource. Two are the same when type and id are; the name may differ (it was renamed).

    :param type: such as ``OS::Cinder::Volume``
    :param id: the cloud's id
    :param name: what it was called when it was looked at
    :param extra_info: JSON object or None, shown to users, never used to act on
    """

    type: str
    id: str
    name: str = field(default="", compare=False)
    extra_info: dict[str, Any] | None = field(default=None, compare=False, hash=False)

    @property
    def key(self) -> str:
        """``Type#id``: how parameters and results name a resource."""
        return f"{self.type}#{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """The four members as JSON."""
        return {"type": self.type, "id": self.id, "name": self.name, "extra_info": self.extra_info}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Resource":
        """The inverse of :meth:`to_dict`; absent name and extra_info are allowed."""
        return cls(value["type"], value["id"], value.get("name") or "", value.get("extra_info"))


PROJECT = "OS::Keystone::Project"
SERVER = "OS::Nova::Server"
VOLUME = "OS::Cinder::Volume"
IMAGE = "OS::Glance::Image"
SHARE = "OS::Manila::Share"
NETWORK = "OS::Neutron::Network"
DATABASE = "OS::Trove::Instance"
POD = "OS::Kubernetes::Pod"

#: The types that plans may name in their parameters, whether or not a plugin for them is installed.
TYPES = (PROJECT, SERVER, VOLUME, IMAGE, SHARE, NETWORK, DATABASE, POD)
