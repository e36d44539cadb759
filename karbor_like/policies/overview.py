from karbor_like.policies.base import READER, rule

GET = "overview:get"

RULES = [
    rule(GET, READER, "Show the totals of the caller's project.", "GET /overview"),
]
