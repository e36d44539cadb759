"""The contract of a protectable plugin: which resources of one type exist, and what hangs below another resource.

Plugins of this kind are global (entry points ``karbor_like.protectables``), know nothing of providers, and keep no state:
who asks is an argument of every call and is never stored, so that no tenant can see through another one's eyes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import Resource


class ProtectablePlugin(ABC):
    """Finds the resources of one type.

    A resource in a state in which nobody could protect it (error, being deleted) is left out of lists and children, and
    :meth:`show` raises for it.
    """

    #: The type this plugin finds, such as ``OS::Cinder::Volume``.
    resource_type: ClassVar[str]
    #: The types that resources of this type can hang below.
    parent_types: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        """All resources of the caller's project. *clients* acts as the caller (``clients.context`` says who)."""

    @abstractmethod
    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One resource of the caller's project.

        Raises ResourceNotFound where it does not exist or is another project's, Conflict where its state forbids
        protecting it (the message says which state).
        """

    @abstractmethod
    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """The direct children of this plugin's type for each of *parents* (of types in :attr:`parent_types`), with as few
        calls to the cloud as its API allows. A parent without children may be left out.
        """
