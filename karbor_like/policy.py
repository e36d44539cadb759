"""Who may do what: oslo.policy with its rules in ``karbor_like.policies``, asked in one place (``api/expose.py``)."""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from karbor_like import exception, policies
from karbor_like.clock import Clock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.policies import base

#: Seconds between two looks whether the operator's policy files were changed.
_LOOK_SECONDS = 1.0


class _Enforcer(policy.Enforcer):
    """Looks for changed files now and then, not for each question: a request asks several, each look searches directories."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock) -> None:
        super().__init__(conf)
        self._clock = clock
        self._looked: float | None = None

    def load_rules(self, force_reload: bool = False) -> None:
        now = self._clock.monotonic()
        if force_reload or self._looked is None or now - self._looked >= _LOOK_SECONDS:
            super().load_rules(force_reload)
            self._looked = now


def make_enforcer(conf: cfg.ConfigOpts, clock: Clock | None = None) -> policy.Enforcer:
    """The enforcer of this deployment: defaults in code, changed by the operator's policy file."""
    enforcer = _Enforcer(conf, clock or SystemClock())
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
