from karbor_like.policies.base import ADMIN, READER, rule

UPDATE = "quota:update"
DELETE = "quota:delete"
GET = "quota:get"
GET_DEFAULT = "quota:get_default"

RULES = [
    rule(UPDATE, ADMIN, "Set the quotas of a project.", "PUT /quotas/{target_project_id}"),
    rule(DELETE, ADMIN, "Reset the quotas of a project to the defaults.", "DELETE /quotas/{target_project_id}"),
    rule(
        GET,
        READER,
        "Show the quotas and the usage of a project.",
        "GET /quotas/{target_project_id}",
        "GET /quotas/{target_project_id}/detail",
    ),
    rule(
        GET_DEFAULT,
        READER,
        "Show the default quotas of projects.",
        "GET /quotas/{target_project_id}/defaults",
    ),
]
