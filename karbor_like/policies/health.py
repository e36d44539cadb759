from karbor_like.policies.base import ADMIN_OR_SERVICE, rule

GET = "health:get"

RULES = [
    rule(GET, ADMIN_OR_SERVICE, "Show the health of the service: database, services, banks and queues.", "GET /health"),
]
