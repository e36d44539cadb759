"""Triggers: when scheduled operations run."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base


class Trigger(base.Resource):
    """A trigger."""

    resource_key = "trigger_info"
    resources_key = "triggers"
    base_path = "/triggers"
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters("name", "type", "properties", **base.PAGING)

    #: ``time``, or another type that is installed.
    type = resource.Body("type")
    #: For ``time``: ``format``, ``pattern``, ``start_time``, ``end_time``, ``window`` and ``timezone``.
    properties = resource.Body("properties", type=dict)
    #: The next five times in UTC. None if they are unknown.
    next_runs = resource.Body("next_runs", type=list)


class Triggers(proxy.Proxy):
    """Requests about triggers."""

    def triggers(self, **query: Any) -> Generator[Trigger, None, None]:
        """Yield triggers.

        :param query: ``name`` (a part of it), ``type``, ``properties``, ``all_projects``, ``project_id``, ``sort``,
            ``limit``, ``marker``
        """
        return self._list(Trigger, **query)

    def get_trigger(self, trigger: str | Trigger) -> Trigger:
        """Return a trigger by its id.

        :raises NotFound: there is none
        """
        return self._get(Trigger, trigger)

    def find_trigger(self, name_or_id: str, ignore_missing: bool = True, **query: Any) -> Trigger | None:
        """Return the trigger with a name or an id.

        :raises NotFound: there is none, and *ignore_missing* is false
        :raises openstack.exceptions.DuplicateResource: several have the name
        """
        return self._find(Trigger, name_or_id, ignore_missing=ignore_missing, **query)

    def create_trigger(self, **attributes: Any) -> Trigger:
        """Create a trigger.

        :param attributes: ``name``, ``type`` and ``properties``
        """
        return self._create(Trigger, **attributes)

    def update_trigger(self, trigger: str | Trigger, **attributes: Any) -> Trigger:
        """Change ``name``, or all ``properties``, of a trigger."""
        return self._update(Trigger, trigger, **attributes)

    def delete_trigger(self, trigger: str | Trigger, ignore_missing: bool = True) -> None:
        """Delete a trigger.

        :raises ApiError: ``trigger.in_use``: scheduled operations use it
        """
        self._delete(Trigger, trigger, ignore_missing=ignore_missing)
