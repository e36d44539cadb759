"""Stacks of Heat, each of which has all resources of one restore's template.

A stack is never rolled back by Heat: the host deletes what a restore created. Heat's own time limit may pass unnoticed when
one of its engines was killed, so the host waits with a limit of its own. Heat forgets an object whose id its engine had not
stored when it was killed, so objects get the name of the stack as their description until the restore is complete.
https://docs.openstack.org/api-ref/orchestration/v1/
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.deployable import Deployable, Properties
from karbor_like.plugins.heat import hot
from karbor_like.plugins.objects import Mark
from karbor_like.plugins.toolkit import ownership
from karbor_like.plugins.toolkit.paging import PAGE, paged

LOG = logging.getLogger(__name__)

TYPE: Final = "OS::Heat::Stack"

_GONE: Final = "DELETE_COMPLETE"
_STUCK: Final = "DELETE_FAILED"
_ACTIONS: Final = ("CREATE", "UPDATE", "ROLLBACK", "SUSPEND", "RESUME", "CHECK", "ADOPT", "SNAPSHOT", "RESTORE")
#: Failed resources that a reason names; the failure of one often fails others.
_MAX_NAMED: Final = 5

_SERVER: Final = "OS::Nova::Server"
_ROUTER_INTERFACES: Final = ("network:router_interface", "network:ha_router_replicated_interface")


@dataclass(frozen=True)
class Current:
    """A stack as Heat shows it.

    :param identifier: name and id, for requests that Heat must not redirect
    :param reason: what failed
    """

    identifier: str
    status: str
    reason: str
    created_at: str | None = None


class Stack(Deployable):
    """A stack. Its properties are ``template``, the text of a template, and ``timeout_mins``, for Heat itself.

    :param types: type in the template -> what finds its objects, also those that Heat forgot
    """

    noun = "stack"
    ready = "CREATE_COMPLETE"
    deletable: ClassVar[frozenset[str] | None] = frozenset(
        {_STUCK, *(f"{action}_{end}" for action in _ACTIONS for end in ("COMPLETE", "FAILED", "IN_PROGRESS"))}
    )

    def __init__(
        self,
        clients: Clients,
        service: Clients | None,
        properties: Callable[[], Properties],
        types: Mapping[str, type[Deployable]] | None = None,
    ) -> None:
        super().__init__(clients, service, properties)
        self._types = types or {}

    def get(self, cloud_id: str) -> Current:
        with translated(f"stack {cloud_id}"):
            stack = self.clients.heat().stacks.get(cloud_id, resolve_outputs=False)
            current = _current(stack)
        if current.status == _GONE:
            raise exception.ResourceNotFound(f"stack {cloud_id} was deleted")
        if not current.status.endswith("_FAILED"):
            return current
        failed = [
            f"{each.resource_name} ({each.resource_type}): {each.resource_status_reason}"
            for each in self._resources(current.identifier)
            if each.resource_status.endswith("_FAILED")
        ]
        return replace(current, reason="; ".join(failed[:_MAX_NAMED]) or current.reason)

    def find(self, name: str) -> Sequence[str]:
        try:
            with translated(f"looking for stack {name}"):
                stack = self.clients.heat().stacks.get(name, resolve_outputs=False)
                return [] if stack.stack_status == _GONE or stack.stack_name != name else [stack.id]
        except exception.ResourceNotFound:
            return []

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        properties = self.properties()
        with translated(f"creating stack {name}"):
            answer = self.clients.heat().stacks.create(
                stack_name=name,
                template=properties["template"],
                parameters={hot.MARK: name},
                timeout_mins=properties["timeout_mins"],
                disable_rollback=True,
            )
            return str(answer["stack"]["id"])

    def failure(self, current: Current) -> str | None:
        if current.status in (self.ready, "CREATE_IN_PROGRESS"):
            return None
        return f"Heat says {current.status}: {current.reason}"

    def delete(self, current: Current) -> None:
        resources = self._resources(current.identifier)
        self._delete_forgotten_servers(current.identifier, resources)
        self._delete_forgotten_objects(current.identifier.partition("/")[0], resources)
        if current.status == _STUCK:
            self._delete_forgotten_ports(resources)
        with translated(f"deleting stack {current.identifier}"):
            self.clients.heat().stacks.delete(current.identifier)

    def scan(self) -> Iterable[Current]:
        def ask(marker: str | None) -> Sequence[Any]:
            return list(self.clients.heat().stacks.list(limit=PAGE, marker=marker))

        return (_current(stack) for stack in paged("the stacks of the project", ask))

    def mark(self, current: Current) -> Mark | None:
        name, _, cloud_id = current.identifier.partition("/")
        # A stack cannot get another name, so that of a restore that succeeded has one, too.
        final = current.status not in ("CREATE_FAILED", "CREATE_IN_PROGRESS", _STUCK)
        return ownership.mark(cloud_id, name, {}, current.created_at, final=final)

    def resources(self, cloud_id: str) -> dict[str, str]:
        """Return the ids of the resources of the stack by their names in the template. Raises ResourceNotFound."""
        listed = self._resources(self.get(cloud_id).identifier)
        return {each.resource_name: each.physical_resource_id for each in listed if each.physical_resource_id}

    def _resources(self, identifier: str) -> list[Any]:
        with translated(f"listing the resources of stack {identifier}"):
            return self.clients.heat().resources.list(identifier)

    def _delete_forgotten_servers(self, identifier: str, resources: Sequence[Any]) -> None:
        """Delete servers that have a port of the stack, but whose ids an engine did not store before it was killed.

        Nothing else shows them when their ports are deleted.
        """
        forgotten = [each.resource_name for each in resources if each.resource_type == _SERVER and _was_begun(each)]
        if not forgotten:
            return
        with translated(f"template of stack {identifier}"):
            described = self.clients.heat().stacks.template(identifier)["resources"]
        names = {described.get(name, {}).get("properties", {}).get("name") for name in forgotten}
        for port in _made(resources, "OS::Neutron::Port"):
            self._try(lambda port=port: self._delete_server_of(port, names))  # type: ignore[misc]

    def _delete_server_of(self, port_id: str, names: Collection[str]) -> None:
        port = self.clients.neutron().show("ports", port_id)
        if str(port.get("device_owner")).startswith("compute:"):
            server = self.clients.nova().servers.get(port["device_id"])
            if server.name in names:
                LOG.warning("server %s is deleted: it has port %s of a stack that does not know it", server.id, port_id)
                server.delete()

    def _delete_forgotten_objects(self, name: str, resources: Sequence[Any]) -> None:
        """Delete the objects with the name of the stack as their description whose ids an engine did not store."""
        known = {each.physical_resource_id for each in resources}
        begun = {each.resource_type for each in resources if _was_begun(each)}
        for kind in sorted(begun.intersection(self._types)):
            if self._types[kind].described_by:
                objects = self._types[kind](self.clients, self.service, self.properties)
                for cloud_id in set(objects.find(name)) - known:
                    LOG.warning("%s %s is deleted: its stack %s does not know it", objects.noun, cloud_id, name)
                    self._try(lambda: objects.delete(objects.get(cloud_id)))  # noqa: B023 - called at once

    def _delete_forgotten_ports(self, resources: Sequence[Any]) -> None:
        """Delete the ports on the networks of the stack: Heat cannot delete a network with a port that it does not know."""
        for network in _made(resources, "OS::Neutron::Net"):
            with translated(f"ports of network {network}"):
                ports = self.clients.neutron().list("ports", network_id=network)
            for port in ports:
                self._try(lambda port=port: self._delete_port(port))  # type: ignore[misc]

    def _delete_port(self, port: Mapping[str, Any]) -> None:
        owner = str(port.get("device_owner") or "")
        if owner in _ROUTER_INTERFACES:
            router = str(port["device_id"])
            self.clients.neutron().call("routers", router, "remove_router_interface", {"port_id": port["id"]})
        elif not owner.startswith("network:"):
            self.clients.neutron().delete("ports", port["id"])
        else:
            return
        LOG.warning("port %s is deleted: it was on the network of a stack that could not be deleted", port["id"])

    def _try(self, request: Callable[[], Any]) -> None:
        """Call *request*. An object that it cannot delete is met again when Heat has failed once more."""
        try:
            with translated("deleting what Heat forgot"):
                request()
        except (exception.ResourceNotFound, exception.Conflict) as error:
            LOG.info("%s", error)


def _current(stack: Any) -> Current:
    created_at = getattr(stack, "creation_time", None)
    return Current(f"{stack.stack_name}/{stack.id}", stack.stack_status, stack.stack_status_reason or "", created_at)


def _made(resources: Sequence[Any], kind: str) -> list[str]:
    """Return the ids of the resources of a type that Heat knows."""
    return [each.physical_resource_id for each in resources if each.resource_type == kind and each.physical_resource_id]


def _was_begun(resource: Any) -> bool:
    return not resource.physical_resource_id and not resource.resource_status.startswith("INIT_")
