"""Services that the controllers use, passed to them when the application is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from oslo_config import cfg
from oslo_policy import policy

from karbor_like.clock import Clock
from karbor_like.db.session import Database
from karbor_like.rpc.operationengine import OperationEngineClient
from karbor_like.rpc.protection import ProtectionClient
from karbor_like.triggers import loader
from karbor_like.triggers.contract import TriggerType


@dataclass(frozen=True)
class ServiceContext:
    """Created once per process, after the fork.

    :param begin_request: called by the thread that serves a request, at its start
    """

    conf: cfg.ConfigOpts
    database: Database
    protection: ProtectionClient
    engine: OperationEngineClient
    enforcer: policy.Enforcer
    clock: Clock
    trigger_types: Mapping[str, TriggerType] = field(default_factory=loader.trigger_types)
    begin_request: Callable[[], None] = lambda: None
