"""Prints the rules of the service as Horizon reads them: the content of ``policies/karbor_like.yaml``.

Run it after a change of the service's rules, from the directory of the repository::

    python dashboard/tests/default_policies.py > dashboard/karbor_like_dashboard/policies/karbor_like.yaml
"""

from typing import Any

import yaml
from oslo_policy import policy

from karbor_like import policies


def rules() -> list[dict[str, Any]]:
    """Return all rules of the service."""
    return [_rule(rule) for rule in policies.list_rules()]


def _rule(rule: policy.RuleDefault) -> dict[str, Any]:
    return {
        "name": rule.name,
        # The service sets is_admin by its own rule; Horizon by its setting OPENSTACK_KEYSTONE_ADMIN_ROLES.
        "check_str": rule.check_str.replace("is_admin:True", "rule:context_is_admin"),
        "description": rule.description,
        "scope_types": rule.scope_types,
        "operations": getattr(rule, "operations", []),
    }


if __name__ == "__main__":
    print(yaml.safe_dump(rules(), sort_keys=False, width=126), end="")
