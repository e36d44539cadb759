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
    _query_mapping = resource.QueryParameters("parameters", "sort")

    protectable = resource.URI("protectable")
    type = resource.Body("type")
    extra_info = resource.Body("extra_info")
    #: Resources that are protected with this one: objects with ``type``, ``id``, ``name`` and ``extra_info``.
    dependent_resources = resource.Body("dependent_resources", type=list)


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
        :param query: ``limit`` and ``marker``
        """
        more: dict[str, Any] = {"parameters": json.dumps(parameters)} if parameters else {}
        return self._list(Instance, protectable=resource.Resource._get_id(protectable), **more, **query)

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
