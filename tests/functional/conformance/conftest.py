from tests.fixtures.cloud import cloud  # noqa: F401 - fixtures
from tests.functional.conformance.clients import clients, clients_today  # noqa: F401
from tests.functional.conformance.target import target  # noqa: F401
