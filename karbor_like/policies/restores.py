from karbor_like.policies.base import MEMBER, READER, rule

CREATE = "restore:create"
CANCEL = "restore:cancel"
GET = "restore:get"
GET_ALL = "restore:get_all"

RULES = [
    rule(CREATE, MEMBER, "Restore a checkpoint.", "POST /restores"),
    rule(CANCEL, MEMBER, "Cancel a running restore.", "DELETE /restores/{restore_id}"),
    rule(GET, READER, "Show a restore.", "GET /restores/{restore_id}"),
    rule(GET_ALL, READER, "List restores.", "GET /restores"),
]
