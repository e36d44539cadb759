"""The roles that all other rules are made of. Keystone lets admin imply member, and member imply reader.

``service`` is the role of other OpenStack services acting as themselves: it may look at the health of this one, and
reaches nobody's data.
"""

from oslo_policy import policy

CONTEXT_IS_ADMIN = "context_is_admin"
ADMIN = "rule:admin_api"
ADMIN_OR_SERVICE = "rule:admin_or_service"
READER = "rule:project_reader_or_admin"
MEMBER = "rule:project_member_or_admin"

RULES = [
    policy.RuleDefault(CONTEXT_IS_ADMIN, "role:admin", description="Decides who sees and changes all projects."),
    policy.RuleDefault("admin_api", "is_admin:True", description="Only for administrators."),
    policy.RuleDefault(
        "admin_or_service", "is_admin:True or role:service", description="Other OpenStack services too."
    ),
    policy.RuleDefault(
        "project_reader_or_admin",
        "is_admin:True or ((role:reader or role:member) and project_id:%(project_id)s)",
        description="Who may look at what a project has.",
    ),
    policy.RuleDefault(
        "project_member_or_admin",
        "is_admin:True or (role:member and project_id:%(project_id)s)",
        description="Who may change what a project has.",
    ),
    policy.RuleDefault("default", "rule:project_member_or_admin", description="For a rule that does not exist."),
]


def rule(name: str, check: str, description: str, *operations: str) -> policy.DocumentedRuleDefault:
    """A rule for *operations* such as ``GET /plans``, paths being below ``/v1/{project_id}``."""
    return policy.DocumentedRuleDefault(
        name,
        check,
        description,
        [{"method": method, "path": f"/v1/{{project_id}}{path}"} for method, path in map(str.split, operations)],
        scope_types=["project"],
    )
