"""Protects nothing: for trying out plans, for projects (whose resources have plugins of their own), and for tests."""

from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.protection import EMPTY_SCHEMA, ProtectionPlugin, ResourceOperation, Schemas


class Nothing(ResourceOperation):
    """Has no hooks."""


class NoopProtection(ProtectionPlugin):
    """Every type, every operation, nothing done."""

    schemas = dict.fromkeys(resource.TYPES, Schemas(EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA))
    operations = dict.fromkeys(OperationType, Nothing)
