"""One object of each kind, and the addresses of all pages of a tenant."""

import json

from cloud import SERVER_ID, VOLUME_ID, Case
from django.urls import reverse

from karbor_like.db.checkpoints import CHECKPOINTS
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

TENANT = "horizon:data_protection"
INDEXES = (
    "overview",
    "plans",
    "checkpoints",
    "restores",
    "schedules",
    "verifications",
    "operation_logs",
    "quotas",
    "providers",
)
#: A checkpoint of a server with a volume.
GRAPH = json.dumps(
    [{"0x0": [VOLUME, VOLUME_ID, "<i>data</i>", None], "0x1": [SERVER, SERVER_ID, "web", None]}, [["0x1", ["0x0"]]]]
)


def make_objects(case: Case) -> dict[str, str]:
    """Create one object of each kind, and return the addresses of their pages."""
    plan = case.plan("<i>nightly</i>")
    checkpoint = case.checkpoint(plan)
    case.database.write(lambda session: CHECKPOINTS.update(session, checkpoint["id"], {"resource_graph": GRAPH}))
    of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"]}
    restore = case.alice.post("/restores", {"restore": {**of, "parameters": {}}})["restore"]
    verification = case.alice.post("/verifications", {"verification": {**of, "parameters": {}}})["verification"]
    trigger = {"name": "t", "type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}}
    trigger_id = case.alice.post("/triggers", {"trigger_info": trigger})["trigger_info"]["id"]
    definition = {"plan_id": plan["id"], "provider_id": PROVIDER, "max_backups": 3}
    operation = {
        "name": "<i>o</i>",
        "operation_type": "retention_protect",
        "trigger_id": trigger_id,
        "operation_definition": definition,
    }
    schedule = case.alice.post("/scheduled_operations", {"scheduled_operation": operation})["scheduled_operation"]
    return {
        "plan": reverse(f"{TENANT}:plans:detail", args=[plan["id"]]),
        "edit": reverse(f"{TENANT}:plans:edit", args=[plan["id"]]),
        "protect": reverse(f"{TENANT}:plans:protect", args=[plan["id"]]),
        "create plan": reverse(f"{TENANT}:plans:create"),
        "checkpoint": reverse(f"{TENANT}:checkpoints:detail", args=[PROVIDER, checkpoint["id"]]),
        "checkpoint progress": reverse(f"{TENANT}:checkpoints:progress", args=[PROVIDER, checkpoint["id"]]),
        "verify": reverse(f"{TENANT}:checkpoints:verify", args=[PROVIDER, checkpoint["id"]]),
        "copy": reverse(f"{TENANT}:checkpoints:copy", args=[PROVIDER, checkpoint["id"]]),
        "calendar": reverse(f"{TENANT}:checkpoints:calendar"),
        "restore": reverse(f"{TENANT}:restores:detail", args=[restore["id"]]),
        "restore progress": reverse(f"{TENANT}:restores:progress", args=[restore["id"]]),
        "create restore": reverse(f"{TENANT}:restores:create") + f"?provider={PROVIDER}&checkpoint={checkpoint['id']}",
        "verification": reverse(f"{TENANT}:verifications:detail", args=[verification["id"]]),
        "verification progress": reverse(f"{TENANT}:verifications:progress", args=[verification["id"]]),
        "schedule": reverse(f"{TENANT}:schedules:detail", args=[schedule["id"]]),
        "create schedule": reverse(f"{TENANT}:schedules:create"),
        "edit trigger": reverse(f"{TENANT}:schedules:edit_trigger", args=[trigger_id]),
        "triggers": reverse(f"{TENANT}:schedules:triggers"),
        "provider": reverse(f"{TENANT}:providers:detail", args=[PROVIDER]),
        **{name: reverse(f"{TENANT}:{name}:index") for name in INDEXES},
    }
