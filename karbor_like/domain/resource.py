"""A cloud resource that can be protected, such as a volume, a server or an image."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource. Type and id identify it; its name may change.

    :param type: such as ``OS::Cinder::Volume``
    :param id: its id in the cloud
    :param name: its name when it was read
    :param extra_info: JSON object or None; informational
    :param obstacle: why it cannot be protected now, as a sentence without a full stop, such as "it is in state 'error'"; None
        if it can
    """

    type: str
    id: str
    name: str = field(default="", compare=False)
    extra_info: dict[str, Any] | None = field(default=None, compare=False, hash=False)
    obstacle: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """``Type#id``, the key of the resource in parameters and results."""
        return f"{self.type}#{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the resource as a JSON object."""
        return {"type": self.type, "id": self.id, "name": self.name, "extra_info": self.extra_info}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Resource":
        """Create a resource from :meth:`to_dict`'s object, in which name and extra_info may be missing."""
        return cls(value["type"], value["id"], value.get("name") or "", value.get("extra_info"))


# Types of the plugins of this project. Other plugins define their own.
PROJECT = "OS::Keystone::Project"
SERVER = "OS::Nova::Server"
VOLUME = "OS::Cinder::Volume"
IMAGE = "OS::Glance::Image"
SHARE = "OS::Manila::Share"
NETWORK = "OS::Neutron::Network"
KEY_PAIR = "OS::Nova::KeyPair"
DATABASE = "OS::Trove::Instance"
POD = "OS::Kubernetes::Pod"
