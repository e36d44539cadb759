"""Default policies, one module per noun."""

import importlib
import pkgutil
from collections.abc import Sequence

from oslo_policy import policy


def list_rules() -> Sequence[policy.RuleDefault]:
    """List all rules, for the enforcer and for oslopolicy-sample-generator."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return [rule for name in names for rule in importlib.import_module(f"{__name__}.{name}").RULES]
