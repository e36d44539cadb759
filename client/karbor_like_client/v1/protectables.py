"""Resource types that can be protected, and the caller's resources of these types."""

import json
from collections.abc import Generator, Mapping
from typing import Any

from openstack import proxy, resource

from karbor_like_client import errors
from karbor_like_client.v1 import base


class Protectable(base.Resource):
    """A resource type that can be protected, such as ``OS::Nova::Server``. Its name is its id."""

    resource_key = "protectable_type"
    base_path = "/protectables"
    allow_fetch = True

    name = resource.Body("name", alternate_id=True)
    #: Types of resources that are protected with resources of this type.
    dependent_types = resource.Body("dependent_types", type=list)


class Instance(base.Resource):
    """A resource that can be protected."""

    resource_key = "instance"
    resources_key = "instances"
    base_path = "/protectables/%(protectable)s/instances"
    allow_fetch = allow_list = True
    _query_mapping = resource.QueryParameters("parameters", "sort", "protected")

    protectable = resource.URI("protectable")
    type = resource.Body("type")
    extra_info = resource.Body("extra_info")
    #: Resources that are protected with this one: objects with ``type``, ``id``, ``name`` and ``extra_info``.
    dependent_resources = resource.Body("dependent_resources", type=list)
    #: Whether there is a ``last_checkpoint``. Only in lists that were requested with *protected*.
    protected = resource.Body("protected")
    #: ``id``, ``provider_id``, ``plan_id`` and ``created_at`` of the newest checkpoint that protects it, or None.
    last_checkpoint = resource.Body("last_checkpoint", type=dict)


class Protectables(proxy.Proxy):
    """Requests about what can be protected."""

    def protectables(self) -> Generator[Protectable, None, None]:
        """Yield the types. Their ``dependent_types`` are only known to :meth:`get_protectable`."""
        response = self.get("/protectables")
        errors.raise_for(response)
        for name in response.json()["protectable_type"]:
            yield Protectable.existing(name=name, connection=self._get_connection())

    def get_protectable(self, protectable: str | Protectable) -> Protectable:
        """Return a type.

        :raises BadRequest: there is none
        """
        return self._get(Protectable, protectable)

    def protectable_instances(
        self, protectable: str | Protectable, parameters: Mapping[str, Any] | None = None, **query: Any
    ) -> Generator[Instance, None, None]:
        """Yield the caller's resources of a type.

        :param parameters: for the plugin of the type
        :param query: ``limit`` and ``marker``, and ``protected``: ``true`` or ``false`` for those that are protected or
            are not, ``all`` for all of them with their last checkpoints
        """
        more: dict[str, Any] = {"parameters": json.dumps(parameters)} if parameters else {}
        return self._list(Instance, protectable=resource.Resource._get_id(protectable), **more, **query)

    def get_unprotected(self, protectable: str | Protectable, limit: int = 5) -> tuple[list[Instance], dict[str, int]]:
        """Return unprotected resources of a type, and how many resources of the type there are, by one request.

        :param limit: how many resources to return at most
        :returns: the resources, and the numbers ``protected`` and ``unprotected`` of all resources of the type
        """
        name = resource.Resource._get_id(protectable)
        response = self.get(f"/protectables/{name}/instances", params={"protected": "false", "limit": limit})
        errors.raise_for(response)
        found = response.json()
        connection = self._get_connection()
        some = [Instance.existing(connection=connection, protectable=name, **one) for one in found["instances"]]
        return some, found["counts"]

    def get_protectable_instance(
        self, protectable: str | Protectable, instance: str | Instance, parameters: Mapping[str, Any] | None = None
    ) -> Instance:
        """Return a resource of the caller.

        :param parameters: for the plugin of the type
        :raises NotFound: there is none
        """
        found = self._get_resource(Instance, instance, protectable=resource.Resource._get_id(protectable))
        more: dict[str, Any] = {"parameters": json.dumps(parameters)} if parameters else {}
        return found.fetch(self, **more)
