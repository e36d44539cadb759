from tests.fixtures.database import database, mariadb_database, postgresql_database  # noqa: F401
