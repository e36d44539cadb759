from karbor_like.policies.base import MEMBER, READER, rule

CREATE = "verification:create"
CANCEL = "verification:cancel"
GET = "verification:get"
GET_ALL = "verification:get_all"

RULES = [
    rule(CREATE, MEMBER, "Verify a checkpoint.", "POST /verifications"),
    rule(CANCEL, MEMBER, "Cancel a running verification.", "DELETE /verifications/{verification_id}"),
    rule(GET, READER, "Show a verification.", "GET /verifications/{verification_id}"),
    rule(GET_ALL, READER, "List verifications.", "GET /verifications"),
]
