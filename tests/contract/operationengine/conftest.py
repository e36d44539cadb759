import pytest

from tests.fixtures.database import database, mariadb_database, postgresql_database  # noqa: F401
from tests.fixtures.transactions import waits_in_transactions  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def guarded(waits_in_transactions: list[str]) -> None:  # noqa: F811
    """No transaction of this process waits for anything but the database."""
