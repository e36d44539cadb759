from karbor_like.policies.base import ADMIN, READER, rule

UPDATE = "quota:update"
DELETE = "quota:delete"
GET = "quota:get"
GET_DEFAULT = "quota:get_default"

RULES = [
    rule(UPDATE, ADMIN, "Give a project limits of its own.", "PUT /quotas/{target_project_id}"),
    rule(DELETE, ADMIN, "Take a project's own limits away.", "DELETE /quotas/{target_project_id}"),
    rule(
        GET,
        READER,
        "Show the limits of a project, and what it uses.",
        "GET /quotas/{target_project_id}",
        "GET /quotas/{target_project_id}/detail",
    ),
    rule(
        GET_DEFAULT,
        READER,
        "Show the limits of projects that have none of their own.",
        "GET /quotas/{target_project_id}/defaults",
    ),
]
