"""The plugin that does nothing."""

from oslo_config import cfg

from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import TYPES
from karbor_like.plugins.noop import NoopProtection


def test_every_type_and_operation_and_nothing_done() -> None:
    plugin = NoopProtection(cfg.ConfigOpts())
    assert set(plugin.schemas) == set(TYPES)
    for resource_type in TYPES:
        for kind in OperationType:
            operation = plugin.operation(kind, resource_type)
            assert operation is not None
            assert operation.hooks() == ()


def test_schemas_are_schemas() -> None:
    """An empty object in place of one broke clients."""
    for schemas in NoopProtection.schemas.values():
        for schema in (schemas.options, schemas.restore, schemas.saved_info, schemas.verify):
            assert schema == {"type": "object", "properties": {}}
