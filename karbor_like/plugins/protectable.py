"""The contract of protectable plugins, which list the resources of one type and find the children of other resources.

Protectable plugins are installed globally (entry points ``karbor_like.protectables``), independent of providers. They keep
no state: every call receives the clients of the calling tenant, so that no tenant sees the resources of another one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from oslo_utils import uuidutils

from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import Resource

#: Version of this contract. It rises when plugins written for an earlier version stop working.
API_VERSION: Final = 1


class ProtectablePlugin(ABC):
    """Lists the resources of one type.

    Lists leave out resources whose state forbids protecting them (error, being deleted), and :meth:`show` raises for them.
    Children include them, with the reason, because they belong to what the tenant wants to protect: the checkpoint names
    them as left out. Objects that an operation of this service created are left out of lists and children.
    """

    #: The version of the contract that the plugin was written for. The loader refuses any other than :data:`API_VERSION`.
    api_version: ClassVar[int | None] = None
    #: The resource type that the plugin lists, such as ``OS::Cinder::Volume``.
    resource_type: ClassVar[str]
    #: The types that can be parents of this type.
    parent_types: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        """Return all resources of the calling project.

        :param clients: act as the calling tenant, ``clients.context``
        """

    @abstractmethod
    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        """Return one resource of the calling project.

        Raises ResourceNotFound if it does not exist or belongs to another project, Conflict if its state forbids
        protecting it (the message names the state).
        """

    @abstractmethod
    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """Return the direct children of this plugin's type for each of *parents*, with as few calls as the cloud allows.

        A child that cannot be protected now, or that no longer exists although its parent refers to it, has an
        :attr:`~karbor_like.domain.resource.Resource.obstacle`. It is not protected, and the checkpoint names it. A child
        whose state changes by itself within minutes has none: the hooks wait for it.

        :param parents: resources of the types in :attr:`parent_types`; a parent without children may be left out of the
            result
        """

    def is_id(self, text: str) -> bool:
        """Return whether a text can be the id of a resource of this type, which the keys ``Type#id`` of parameters contain.

        :param text: at most 255 characters: ASCII letters, digits, spaces and any of ``-_:.#@``
        """
        return uuidutils.is_uuid_like(text)

    def dependencies(self, clients: Clients, resources: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """Return the resources that must be restored before each of *resources*, because that one refers to them.

        They may be of any type, but neither parents of the resource nor dependent on it: resources that refer to each other
        contribute to the template of the restore instead. Those that are not part of the checkpoint are ignored.

        :param resources: resources of this plugin's type; those without dependencies may be left out of the result
        """
        return {}
