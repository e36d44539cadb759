import os

import pytest
from oslo_config import cfg

from karbor_like import exception, policies, policy
from karbor_like.clock import ManualClock
from karbor_like.context import RequestContext
from karbor_like.policies import plans, services


@pytest.fixture
def enforcer(tmp_path):
    conf = cfg.ConfigOpts()
    conf([])
    return policy.make_enforcer(conf)


def caller(enforcer, *roles: str, **more) -> RequestContext:
    context = RequestContext(user_id="u", roles=list(roles), overwrite=False, **{"project_id": "p", **more})
    context.is_admin = policy.is_admin(enforcer, context)
    return context


@pytest.mark.parametrize(
    ("roles", "rule", "owner", "allowed"),
    [
        (["reader"], plans.GET, "p", True),
        (["reader"], plans.CREATE, "p", False),
        (["member"], plans.CREATE, "p", True),
        (["member"], plans.GET, "q", False),
        (["admin"], plans.DELETE, "q", True),
        (["service"], plans.GET, "p", False),
        (["service"], services.GET_ALL, "p", True),
        (["service"], services.UPDATE, "p", False),
        ([], plans.GET, "p", False),
    ],
)
def test_roles(enforcer, roles, rule, owner, allowed):
    def ask():
        policy.authorize(enforcer, caller(enforcer, *roles), rule, {"project_id": owner})

    if allowed:
        ask()
    else:
        with pytest.raises(exception.NotAuthorized, match=rule):
            ask()


def test_scope(enforcer):
    admin = caller(enforcer, "admin", project_id=None, system_scope="all")
    with pytest.raises(exception.NotAuthorized):
        policy.authorize(enforcer, admin, plans.GET, {"project_id": "p"})


def test_rules_are_named_once_and_documented():
    rules = list(policies.list_rules())
    names = [rule.name for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule.description


def test_a_changed_policy_file_is_read_within_a_second(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(f'"{plans.GET}": "role:reader"\n')
    conf = cfg.ConfigOpts()
    conf([])
    clock = ManualClock()
    enforcer = policy.make_enforcer(conf, clock)
    conf.set_override("policy_file", str(path), group="oslo_policy")
    enforcer.policy_file = str(path)
    context = caller(enforcer, "reader")
    policy.authorize(enforcer, context, plans.GET, {"project_id": "q"})

    path.write_text(f'"{plans.GET}": "role:unassigned"\n')
    os.utime(path, (2**31, 2**31))
    policy.authorize(enforcer, context, plans.GET, {"project_id": "q"})
    clock.advance(1)
    with pytest.raises(exception.NotAuthorized):
        policy.authorize(enforcer, context, plans.GET, {"project_id": "q"})
