"""The customization module of Horizon: adds the row action *Protect* to the tables of instances and volumes.

Horizon has no other way to add an action to the table of another panel. A deployment with a customization module of its own
imports this one in it.
"""

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables
from openstack_dashboard.api import base
from openstack_dashboard.dashboards.project.instances import tables as instances
from openstack_dashboard.dashboards.project.volumes import tables as volumes

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing


class _Protect(tables.LinkAction):
    """Opens the wizard that creates a plan, with the resource chosen."""

    name = "data_protection_protect"
    verbose_name = _("Protect")
    classes = ("ajax-modal",)
    icon = "shield"
    policy_rules = listing.rules("plan:create")
    resource_type = ""

    def get_link_url(self, datum: Any = None) -> str:
        query = urlencode({"resource": f"{self.resource_type}#{datum.id}"})
        return f"{reverse('horizon:data_protection:plans:create')}?{query}"

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return bool(base.is_service_enabled(request, api.SERVICE))


class ProtectInstance(_Protect):
    resource_type = "OS::Nova::Server"


class ProtectVolume(_Protect):
    resource_type = "OS::Cinder::Volume"


def _add(table: Any, action: type[_Protect]) -> None:
    """Add a row action to a table, as if its class had named it."""
    if action not in table._meta.row_actions:
        table._meta.row_actions = (*table._meta.row_actions, action)
        table.base_actions[action.name] = action()


_add(instances.InstancesTable, ProtectInstance)
_add(volumes.VolumesTable, ProtectVolume)
