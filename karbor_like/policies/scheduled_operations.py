from karbor_like.policies.base import MEMBER, READER, rule

CREATE = "scheduled_operation:create"
DELETE = "scheduled_operation:delete"
GET = "scheduled_operation:get"
LIST = "scheduled_operation:list"
RUN = "scheduled_operation:run"
UPDATE = "scheduled_operation:update"

RULES = [
    rule(CREATE, MEMBER, "Create a scheduled operation.", "POST /scheduled_operations"),
    rule(
        UPDATE, MEMBER, "Enable or disable a scheduled operation.", "PUT /scheduled_operations/{scheduled_operation_id}"
    ),
    rule(
        RUN,
        MEMBER,
        "Run a scheduled operation at once, in the name of its user.",
        "POST /scheduled_operations/{scheduled_operation_id}/action",
    ),
    rule(DELETE, MEMBER, "Delete a scheduled operation.", "DELETE /scheduled_operations/{scheduled_operation_id}"),
    rule(
        GET,
        READER,
        "Show a scheduled operation and the effect of its retention rules.",
        "GET /scheduled_operations/{scheduled_operation_id}",
        "GET /scheduled_operations/{scheduled_operation_id}/retention",
    ),
    rule(LIST, READER, "List scheduled operations.", "GET /scheduled_operations"),
]
