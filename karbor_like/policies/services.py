from karbor_like.policies.base import ADMIN, ADMIN_OR_SERVICE, rule

GET_ALL = "service:get_all"
UPDATE = "service:update"

RULES = [
    rule(GET_ALL, ADMIN_OR_SERVICE, "List the services and whether they are up.", "GET /os-services"),
    rule(UPDATE, ADMIN, "Enable or disable a service.", "PUT /os-services/{service_id}"),
]
