"""Script for the environment of the last released karbor clients: call all of the library, and print the results as JSON.

The argument is a JSON object with ``credentials`` (of keystoneauth), ``endpoint``, ``provider``, ``volume``, ``project`` and
``mode``: "session", as programs use the library, or "token", as the dashboard does.
"""

import json
import sys
from typing import Any

from karborclient import client
from karborclient.common.apiclient import exceptions
from keystoneauth1 import session
from keystoneauth1.identity import v3

asked = json.loads(sys.argv[1])
keystone = session.Session(auth=v3.Password(**asked["credentials"]))
if asked["mode"] == "session":
    karbor = client.Client("1", session=keystone, service_type="data-protect")
else:
    karbor = client.Client("1", endpoint=asked["endpoint"], token=keystone.get_token(), auth_url="http://unused")
provider, volume = asked["provider"], asked["volume"]
unknown = "00000000-0000-4000-8000-00000000dead"
seen: dict[str, Any] = {}


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except exceptions.HttpError as error:
        return [type(error).__name__, error.http_status, str(error)]
    return None


seen["types"] = [item.protectable_type for item in karbor.protectables.list()]
seen["instances"] = [item.to_dict() for item in karbor.protectables.list_instances("OS::Cinder::Volume")]
seen["parameters"] = [
    item.id
    for item in karbor.protectables.list_instances("OS::Cinder::Volume", search_opts={"parameters": str({"name": "x"})})
]
seen["providers"] = [item.id for item in karbor.providers.list(sort_key="name", sort_dir="asc", limit=21)]

resources = [{"id": volume, "type": "OS::Cinder::Volume", "name": "data-1"}]
nulls = {"OS::Cinder::Volume": {"backup_name": None, "description": "from the library"}}
plan = karbor.plans.create("library", provider, resources, nulls, description="d")
seen["plan"] = karbor.plans.get(plan.id).to_dict()
seen["updated"] = karbor.plans.update(plan.id, {"status": "started"}).status
seen["found"] = karbor.plans.find(name="library").id == plan.id
seen["listed"] = [item.id for item in karbor.plans.list(search_opts={"name": "library"}, limit=1, sort="name:asc")]

checkpoint = karbor.checkpoints.create(provider, plan.id, None)
seen["checkpoint"] = checkpoint.to_dict()
checkpoint.get()
seen["reloaded"] = checkpoint.status
seen["checkpoints"] = [item.id for item in karbor.checkpoints.list(provider, search_opts={"plan_id": plan.id})]

trigger = karbor.triggers.create(
    "library", "time", {"format": "crontab", "pattern": "0 1 * * *", "window": 1000, "end_time": "2200-01-01 00:00:00"}
)
seen["trigger"] = karbor.triggers.get(trigger.id).to_dict()
seen["renamed"] = karbor.triggers.update(trigger.id, {"name": "new", "properties": {}}).name
operation = karbor.scheduled_operations.create(
    "library", "retention_protect", trigger.id, {"provider_id": provider, "plan_id": plan.id, "max_backups": 3}
)
seen["operation"] = karbor.scheduled_operations.get(operation.id).to_dict()
seen["operations"] = [item.id for item in karbor.scheduled_operations.list()]

seen["errors"] = {
    "unknown plan": refused(karbor.plans.get, unknown),
    "no id": refused(karbor.plans.get, "nonsense"),
    "invalid": refused(karbor.plans.create, "", provider, resources, {}),
    "trigger in use": refused(karbor.triggers.delete, trigger.id),
    "plan in use": refused(karbor.plans.delete, plan.id),
    "forbidden": refused(karbor.services.list),
    "restore": refused(karbor.restores.create, provider, unknown, None, {}, None),
    "no route": refused(karbor.http_client.json_request, "GET", "/nothing"),
}
karbor.scheduled_operations.delete(operation.id)
karbor.triggers.delete(trigger.id)
karbor.plans.delete(plan.id)
seen["gone"] = refused(karbor.plans.get, plan.id)
seen["logs"] = [item.checkpoint_id for item in karbor.operation_logs.list()]
seen["quota"] = karbor.quotas.get(asked["project"], detail=False).to_dict()
seen["detail"] = karbor.quotas.get(asked["project"], detail=True).to_dict()
seen["defaults"] = karbor.quotas.defaults(asked["project"]).to_dict()
seen["class"] = karbor.quota_classes.get("gold").to_dict()
print(json.dumps(seen))
