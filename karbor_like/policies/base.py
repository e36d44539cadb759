"""Base rules, from which all other rules are composed. In Keystone, admin implies member, and member implies reader.

``service`` is the role of other OpenStack services that act for themselves. It gives access to the health of this service,
but to no project's data.
"""

from oslo_policy import policy

CONTEXT_IS_ADMIN = "context_is_admin"
ADMIN = "rule:admin_api"
ADMIN_OR_SERVICE = "rule:admin_or_service"
READER = "rule:project_reader_or_admin"
MEMBER = "rule:project_member_or_admin"

RULES = [
    policy.RuleDefault(CONTEXT_IS_ADMIN, "role:admin", description="Access to all projects."),
    policy.RuleDefault("admin_api", "is_admin:True", description="Administrators."),
    policy.RuleDefault(
        "admin_or_service", "is_admin:True or role:service", description="Administrators and other OpenStack services."
    ),
    policy.RuleDefault(
        "project_reader_or_admin",
        "is_admin:True or ((role:reader or role:member) and project_id:%(project_id)s)",
        description="Read access to the objects of a project.",
    ),
    policy.RuleDefault(
        "project_member_or_admin",
        "is_admin:True or (role:member and project_id:%(project_id)s)",
        description="Write access to the objects of a project.",
    ),
    policy.RuleDefault("default", "rule:project_member_or_admin", description="Default for undefined rules."),
]


def rule(name: str, check: str, description: str, *operations: str) -> policy.DocumentedRuleDefault:
    """Create a rule for *operations* such as ``GET /plans``; paths are relative to ``/v1/{project_id}``."""
    return policy.DocumentedRuleDefault(
        name,
        check,
        description,
        [{"method": method, "path": f"/v1/{{project_id}}{path}"} for method, path in map(str.split, operations)],
        scope_types=["project"],
    )
