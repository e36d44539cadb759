"""Who may do what: oslo.policy with its rules in ``karbor_like.policies``, asked in one place (``api/expose.py``)."""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from karbor_like import exception, policies
from karbor_like.context import RequestContext
from karbor_like.policies import base


def make_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """The enforcer of this deployment: defaults in code, changed by the operator's policy file."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """What oslo.policy's command-line tools ask for."""
    conf = cfg.ConfigOpts()
    conf([], project="karbor_like")
    return make_enforcer(conf)


def is_admin(enforcer: policy.Enforcer, context: RequestContext) -> bool:
    """Whether the caller sees all projects."""
    return bool(enforcer.authorize(base.CONTEXT_IS_ADMIN, {}, context, do_raise=False))


def authorize(enforcer: policy.Enforcer, context: RequestContext, rule: str, target: Mapping[str, Any]) -> None:
    """Raises NotAuthorized where *rule* does not let the caller act on *target* (``project_id`` of the owner)."""
    try:
        enforcer.authorize(rule, dict(target), context, do_raise=True)
    except (policy.PolicyNotAuthorized, policy.InvalidScope):
        raise exception.NotAuthorized(f"policy does not allow {rule} to be performed") from None
