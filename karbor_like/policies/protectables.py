from karbor_like.policies.base import READER, rule

GET = "protectable:get"
GET_ALL = "protectable:get_all"
INSTANCE_GET = "protectable:instance_get"
INSTANCE_GET_ALL = "protectable:instance_get_all"

RULES = [
    rule(GET, READER, "Show a type of protectable resources.", "GET /protectables/{protectable_type}"),
    rule(GET_ALL, READER, "List the types of protectable resources.", "GET /protectables"),
    rule(
        INSTANCE_GET,
        READER,
        "Show a protectable resource.",
        "GET /protectables/{protectable_type}/instances/{resource_id}",
    ),
    rule(
        INSTANCE_GET_ALL,
        READER,
        "List the protectable resources of a type.",
        "GET /protectables/{protectable_type}/instances",
    ),
]
