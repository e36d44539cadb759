"""A protection plugin that stores nothing: for trying out plans, for resource types such as projects, and for tests."""

from oslo_config import cfg

from karbor_like.domain.operation import OperationType
from karbor_like.plugins import loader
from karbor_like.plugins.protection import EMPTY_SCHEMA, ProtectionPlugin, ResourceOperation, Schemas


class Nothing(ResourceOperation):
    """An operation without hooks."""


class NoopProtection(ProtectionPlugin):
    """Accepts every operation on every type that an installed protectable plugin lists."""

    api_version = 1
    is_fallback = True
    operations = dict.fromkeys(OperationType, Nothing)

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        empty = Schemas(EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA)
        self.schemas = dict.fromkeys(loader.protectables(), empty)
