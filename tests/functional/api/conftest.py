import pytest

from tests.fixtures.api import (  # noqa: F401 - fixtures
    admin,
    alice,
    application,
    bob,
    client,
    clock,
    conf,
    database,
    deps,
    empty_database,
    engine,
    protection,
)
from tests.fixtures.transactions import waits_in_transactions  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def guarded(waits_in_transactions: list[str]) -> None:  # noqa: F811
    """No transaction of this process waits for anything but the database."""
