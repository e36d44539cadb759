from karbor_like.policies.base import MEMBER, READER, rule

CREATE = "plan:create"
UPDATE = "plan:update"
DELETE = "plan:delete"
GET = "plan:get"
GET_ALL = "plan:get_all"

RULES = [
    rule(CREATE, MEMBER, "Create a plan.", "POST /plans"),
    rule(UPDATE, MEMBER, "Change, start or suspend a plan.", "PUT /plans/{plan_id}"),
    rule(DELETE, MEMBER, "Delete a plan.", "DELETE /plans/{plan_id}"),
    rule(GET, READER, "Show a plan.", "GET /plans/{plan_id}"),
    rule(GET_ALL, READER, "List plans.", "GET /plans"),
]
