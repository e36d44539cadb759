"""The contract of resources that a restore creates from its template, one by one, without Heat.

A protection plugin whose restore contributes to the template (:meth:`ResourceOperation.contribute`) names, for each type that
it contributes, a class of this module in :attr:`ProtectionPlugin.deployables`. The host creates the resources of the template
in the order of their references, each with :func:`karbor_like.plugins.toolkit.cloud_objects.ensure`, waits until each is
ready, and calls :meth:`Deployable.complete` of each when all are. If the restore fails, it deletes them in reverse order.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from karbor_like.clients.factory import Clients
from karbor_like.plugins.objects import CloudObjects

Properties = Mapping[str, Any]


class Deployable(CloudObjects):
    """One resource of a template: creates, finds, completes and deletes its counterpart in the cloud.

    :param clients: act as the owner of the operation
    :param service: act as the service user in this cloud, for what a tenant may not do; None if there is none
    :param properties: returns those of the description in the template, in which ids stand for all references. It may raise
        what reading the checkpoint raises: a deletion calls it only if it cannot do without

    An object must be recognizable by ``name``, the argument of :meth:`create` and :meth:`find`, from the request that creates
    it until :meth:`complete`: as its name, in its description or in its metadata.
    """

    #: Where a template of Heat has the description of an object: names of nested properties. Empty if Heat cannot create an
    #: object with a description by which :meth:`find` finds it.
    described_by: ClassVar[Sequence[str]] = ()

    def __init__(self, clients: Clients, service: Clients | None, properties: Callable[[], Properties]) -> None:
        super().__init__(clients)
        self.service = service
        self.properties = properties

    @classmethod
    def described(cls, properties: Properties, description: Any) -> dict[str, Any]:
        """Return the properties of a template with a description, unless :attr:`described_by` is empty."""
        return _with(properties, cls.described_by, description)

    @abstractmethod
    def create(self, name: str, markers: Mapping[str, str]) -> str:
        """Send the request that creates the object, and return the id of the object. Do not wait for it.

        :param name: unique, by which :meth:`find` finds it
        :param markers: metadata that mark the object as the operation's, for types with metadata
        """

    def needs(self) -> Mapping[str, int]:
        """Return by how much creating the object uses up quotas of the project, by names in
        :attr:`ProtectionPlugin.quotas <karbor_like.plugins.protection.ProtectionPlugin.quotas>`. Create and change nothing.

        The host calls it before anything is created: in :attr:`properties`, texts in brackets stand for the ids of what will
        be restored, and ``{"get_resource": name}`` for what the template creates. A need that is not certain does not count.
        """
        return {}

    def describe(self, cloud_id: str) -> list[str]:
        """Give an object that Heat created its final description. Idempotent. Return remarks on what the cloud refused.

        Called in place of :meth:`complete`, of types with :attr:`described_by`.
        """
        return []

    def complete(self, cloud_id: str) -> list[str]:
        """Give the object its final name, description and metadata. Idempotent. Return remarks on what the cloud refused."""
        return []


def _with(properties: Properties, path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return properties with a value at a path, or unchanged if the path is empty."""
    if not path:
        return dict(properties)
    name, *below = path
    return {**properties, name: _with(properties.get(name) or {}, below, value) if below else value}
