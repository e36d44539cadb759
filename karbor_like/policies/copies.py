from karbor_like.policies.base import MEMBER, rule

CREATE = "copy:create"

RULES = [
    rule(
        CREATE,
        MEMBER,
        "Copy the checkpoints of a plan to another provider's bank.",
        "POST /providers/{provider_id}/checkpoints/action",
    ),
]
