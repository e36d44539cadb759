from karbor_like.policies.base import READER, rule

GET = "provider:get"
GET_ALL = "provider:get_all"

RULES = [
    rule(GET, READER, "Show a provider.", "GET /providers/{provider_id}"),
    rule(GET_ALL, READER, "List providers.", "GET /providers"),
]
