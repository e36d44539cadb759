import pytest

from tests.fixtures.database import (  # noqa: F401
    database,
    mariadb_database,
    mariadb_schema,
    postgresql_database,
    postgresql_schema,
)
from tests.fixtures.transactions import waits_in_transactions  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def guarded(waits_in_transactions: list[str]) -> None:  # noqa: F811
    """No transaction of this process waits for anything but the database."""
