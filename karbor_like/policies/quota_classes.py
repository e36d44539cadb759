from karbor_like.policies.base import ADMIN, READER, rule

UPDATE = "quota_class:update"
GET = "quota_class:get"

RULES = [
    rule(
        UPDATE,
        ADMIN,
        "Change a quota class; the class 'default' applies to all projects.",
        "PUT /quota_classes/{class_name}",
    ),
    rule(GET, READER, "Show a quota class.", "GET /quota_classes/{class_name}"),
]
