"""The arguments of all calls over the bus, pinned: what callers send changes only together with the version.

An added argument raises the minor version, and services accept calls without it. Any other change raises the major version.
So the services that are called can be upgraded first, and those that call them later.
"""

import inspect
from collections.abc import Mapping

import pytest

from karbor_like.rpc import client, operationengine, protection
from tests.contract.protection_calls import RESTORE


def _all(*names: str) -> Mapping[str, int]:
    return dict.fromkeys(names, 0)


#: Method -> argument -> minor version since which callers send it.
PROTECTION_3: Mapping[str, Mapping[str, int]] = {
    "ping": _all(),
    "wake": _all(),
    "check_plan": _all("provider_id", "resource_types", "parameters"),
    "protect": _all("checkpoint_id", "plan_id", "provider_id", "extra_info"),
    "restore": RESTORE,
    "verify": _all("verification_id", "provider_id", "checkpoint_id", "parameters"),
    "copy": _all("copy_id", "plan_id", "provider_id", "target_provider_id", "checkpoint_ids", "parameters"),
    "cancel": _all("operation_id"),
    "list_providers": _all(),
    "show_provider": _all("provider_id"),
    "delete_checkpoint": _all("provider_id", "checkpoint_id"),
    "reset_checkpoint": _all("provider_id", "checkpoint_id", "state"),
    "list_protectables": _all(),
    "show_protectable": _all("resource_type"),
    "list_instances": _all("resource_type", "parameters", "limit", "marker"),
    "show_instance": _all("resource_type", "resource_id", "parameters"),
}
ENGINE_2: Mapping[str, Mapping[str, int]] = {
    "ping": _all(),
    "make_trust": _all("scheduled_operation_id"),
    "delete_trust": _all("trust_id"),
}


@pytest.mark.parametrize(
    ("kind", "major", "calls"),
    [(protection.ProtectionClient, 3, PROTECTION_3), (operationengine.OperationEngineClient, 2, ENGINE_2)],
)
def test_calls_change_only_with_the_version(
    kind: type[client.Client], major: int, calls: Mapping[str, Mapping[str, int]]
):
    methods = {name: method for name, method in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}
    del methods["close"]
    sent = {
        name: {each for each in inspect.signature(method).parameters if each not in ("self", "ctxt", "timeout")}
        for name, method in methods.items()
    }
    assert sent == {name: set(arguments) for name, arguments in calls.items()}
    minor = max(since for arguments in calls.values() for since in arguments.values())
    assert kind.version == f"{major}.{minor}"
    added = {
        name: {argument: since for argument, since in arguments.items() if since}
        for name, arguments in calls.items()
        if any(arguments.values())
    }
    assert added == {name: {each: since for each, (since, _) in new.items()} for name, new in kind.added.items()}
    for name, new in kind.added.items():
        parameters = inspect.signature(methods[name]).parameters
        assert {each: parameters[each].default for each in new} == {each: value for each, (_, value) in new.items()}
