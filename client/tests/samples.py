"""A user of a cloud, and objects as the API shows them."""

from typing import Any

PROJECT = "a" * 32
AUTH_URL = "http://keystone.test/v3"
API = f"http://api.test/v1/{PROJECT}"
CREDENTIALS = {
    "OS_AUTH_URL": AUTH_URL,
    "OS_USERNAME": "alice",
    "OS_PASSWORD": "secret",
    "OS_PROJECT_NAME": "project",
    "OS_USER_DOMAIN_ID": "default",
    "OS_PROJECT_DOMAIN_ID": "default",
}
PLAN: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "nightly",
    "description": None,
    "resources": [],
    "provider_id": "22222222-2222-4222-8222-222222222222",
    "status": "suspended",
    "parameters": {},
}
PROVIDER = PLAN["provider_id"]
VOLUME = "OS::Cinder::Volume"
CHECKPOINT: dict[str, Any] = {
    "id": "33333333-3333-4333-8333-333333333333",
    "project_id": PROJECT,
    "status": "protecting",
    "protection_plan": {"id": PLAN["id"], "name": "nightly", "provider_id": PROVIDER, "resources": []},
    "left_out": [],
    "resource_graph": f'[{{"0x0": ["{VOLUME}", "77", "data-1", null], "0x1": ["OS::Nova::Server", "88", "web", null]}}, []]',
    "created_at": "2031-05-06",
    "timestamp": "2031-05-06T07:08:09.123456+00:00",
    "extra_info": '{"created_by": "manual"}',
    "reason": None,
    "progress": {"bytes_done": 0, "bytes_total": None, "resources": {}},
}
CHECKPOINTS = f"/providers/{PROVIDER}/checkpoints"
RESTORE: dict[str, Any] = {
    "id": "44444444-4444-4444-8444-444444444444",
    "status": "in_progress",
    "provider_id": PROVIDER,
    "checkpoint_id": CHECKPOINT["id"],
    "parameters": {},
    "resources_status": {},
    "resources_reason": {},
    "restore_target": None,
    "reason": None,
}
