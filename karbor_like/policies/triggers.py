from karbor_like.policies.base import MEMBER, READER, rule

CREATE = "trigger:create"
UPDATE = "trigger:update"
DELETE = "trigger:delete"
GET = "trigger:get"
LIST = "trigger:list"

RULES = [
    rule(CREATE, MEMBER, "Create a trigger.", "POST /triggers"),
    rule(UPDATE, MEMBER, "Change a trigger.", "PUT /triggers/{trigger_id}"),
    rule(DELETE, MEMBER, "Delete a trigger.", "DELETE /triggers/{trigger_id}"),
    rule(GET, READER, "Show a trigger.", "GET /triggers/{trigger_id}"),
    rule(LIST, READER, "List triggers.", "GET /triggers"),
]
