from karbor_like.policies.base import READER, rule

GET = "operation_log:get"
LIST = "operation_log:list"

RULES = [
    rule(GET, READER, "Show an operation log.", "GET /operation_logs/{operation_log_id}"),
    rule(LIST, READER, "List operation logs.", "GET /operation_logs"),
]
