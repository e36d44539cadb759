"""Authorization with oslo.policy. The rules are in ``karbor_like.policies``; ``api/expose.py`` enforces them."""

import inspect
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from karbor_like import exception, policies
from karbor_like.clock import Clock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.policies import base

#: Seconds between two checks whether the operator's policy files were changed.
_CHECK_SECONDS = 1.0


class _Enforcer(policy.Enforcer):
    """An enforcer that checks for changed files at intervals only.

    A check searches directories, and one request evaluates several rules.
    """

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock) -> None:
        super().__init__(conf)
        self._clock = clock
        self._checked: float | None = None

    def load_rules(self, force_reload: bool = False) -> None:
        now = self._clock.monotonic()
        if force_reload or self._checked is None or now - self._checked >= _CHECK_SECONDS:
            super().load_rules(force_reload)
            self._checked = now


def _store_signatures() -> None:
    """Store the signatures of checks where :mod:`inspect` finds them.

    oslo.policy inspects a check whenever it evaluates it. Otherwise this is most of the time that a policy takes.
    """
    kinds: tuple[Any, ...] = (policy.AndCheck, policy.NotCheck, policy.OrCheck, *policy.Check.__subclasses__())
    for method in {kind.__call__ for kind in kinds}:
        method.__signature__ = inspect.signature(method)


def make_enforcer(conf: cfg.ConfigOpts, clock: Clock | None = None) -> policy.Enforcer:
    """Build the enforcer of this deployment: the operator's policy file overrides the defaults in code."""
    _store_signatures()
    enforcer = _Enforcer(conf, clock or SystemClock())
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """Return an enforcer for oslo.policy's command-line tools."""
    conf = cfg.ConfigOpts()
    conf([], project="karbor_like")
    return make_enforcer(conf)


def is_admin(enforcer: policy.Enforcer, context: RequestContext) -> bool:
    """Return whether the caller sees all projects."""
    return bool(enforcer.authorize(base.CONTEXT_IS_ADMIN, {}, context, do_raise=False))


def authorize(enforcer: policy.Enforcer, context: RequestContext, rule: str, target: Mapping[str, Any]) -> None:
    """Raise NotAuthorized if *rule* does not let the caller act on *target* (``project_id`` of the owner)."""
    try:
        enforcer.authorize(rule, dict(target), context, do_raise=True)
    except (policy.PolicyNotAuthorized, policy.InvalidScope):
        raise exception.PolicyNotAuthorized(f"policy does not allow {rule} to be performed") from None
