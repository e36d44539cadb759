"""The plugin that stores nothing."""

from oslo_config import cfg

from karbor_like.domain.operation import OperationType
from karbor_like.plugins import loader
from karbor_like.plugins.noop import NoopProtection


def test_every_installed_type_and_every_operation_is_accepted() -> None:
    plugin = NoopProtection(cfg.ConfigOpts())
    assert set(plugin.schemas) == set(loader.protectables())
    for resource_type in plugin.schemas:
        for kind in OperationType:
            operation = plugin.operation(kind, resource_type)
            assert operation is not None
            assert operation.hooks() == ()


def test_schemas_are_valid() -> None:
    """An empty object in place of a schema broke clients."""
    for schemas in NoopProtection(cfg.ConfigOpts()).schemas.values():
        for schema in (schemas.options, schemas.restore, schemas.saved_info, schemas.verify):
            assert schema == {"type": "object", "properties": {}}
