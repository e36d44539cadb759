"""Plans: which resources to protect, and how."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base, formats


class Plan(base.Resource):
    """A plan."""

    resource_key = "plan"
    resources_key = "plans"
    base_path = "/plans"
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters("name", "status", "description", "provider_id", **base.PAGING)

    description = resource.Body("description")
    #: The provider that protects the resources.
    provider_id = resource.Body("provider_id")
    #: Objects with ``type``, ``id``, ``name`` and possibly ``extra_info``.
    resources = resource.Body("resources", type=list)
    #: Options of plugins, by ``Type`` or ``Type#id``.
    parameters = resource.Body("parameters", type=dict)
    #: ``suspended`` or ``started``. A plan can only be changed while it is suspended.
    status = resource.Body("status")
    #: When the newest available checkpoint was created.
    last_checkpoint_at = resource.Body("last_checkpoint_at", type=formats.Time)
    #: Whether that is too long ago for the schedules of the plan.
    is_rpo_violated = resource.Body("rpo_violated", type=bool)


class Plans(proxy.Proxy):
    """Requests about plans."""

    def plans(self, **query: Any) -> Generator[Plan, None, None]:
        """Yield plans.

        :param query: ``name`` (a part of it), ``status``, ``description``, ``provider_id``, ``all_projects``,
            ``project_id``, ``sort``, ``limit``, ``marker``
        """
        return self._list(Plan, **query)

    def get_plan(self, plan: str | Plan) -> Plan:
        """Return a plan by its id.

        :raises NotFound: there is none
        """
        return self._get(Plan, plan)

    def find_plan(self, name_or_id: str, ignore_missing: bool = True, **query: Any) -> Plan | None:
        """Return the plan with a name or an id.

        :raises NotFound: there is none, and *ignore_missing* is false
        :raises openstack.exceptions.DuplicateResource: several have the name
        """
        return self._find(Plan, name_or_id, ignore_missing=ignore_missing, **query)

    def create_plan(self, **attributes: Any) -> Plan:
        """Create a plan.

        :param attributes: ``name``, ``provider_id``, ``resources``, ``parameters`` and ``description``
        """
        return self._create(Plan, **{"parameters": {}, **attributes})

    def update_plan(self, plan: str | Plan, **attributes: Any) -> Plan:
        """Change ``name``, ``description``, ``resources`` or ``status`` of a plan."""
        return self._update(Plan, plan, **attributes)

    def delete_plan(self, plan: str | Plan, ignore_missing: bool = True) -> None:
        """Delete a plan. Its checkpoints stay.

        :raises Conflict: scheduled operations use it
        """
        self._delete(Plan, plan, ignore_missing=ignore_missing)
