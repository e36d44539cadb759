from karbor_like.policies.base import MEMBER, READER, rule

GET = "provider:checkpoint_get"
GET_ALL = "provider:checkpoint_get_all"
CREATE = "provider:checkpoint_create"
DELETE = "provider:checkpoint_delete"
UPDATE = "provider:checkpoint_update"

RULES = [
    rule(GET, READER, "Show a checkpoint.", "GET /providers/{provider_id}/checkpoints/{checkpoint_id}"),
    rule(GET_ALL, READER, "List the checkpoints of a provider.", "GET /providers/{provider_id}/checkpoints"),
    rule(CREATE, MEMBER, "Protect a plan: create a checkpoint.", "POST /providers/{provider_id}/checkpoints"),
    rule(
        DELETE,
        MEMBER,
        "Delete a checkpoint, or cancel the operation that creates it.",
        "DELETE /providers/{provider_id}/checkpoints/{checkpoint_id}",
    ),
    rule(
        UPDATE, MEMBER, "Reset the status of a checkpoint.", "PUT /providers/{provider_id}/checkpoints/{checkpoint_id}"
    ),
]
