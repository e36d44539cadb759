from tests.fixtures.database import (  # noqa: F401
    database,
    mariadb_database,
    mariadb_schema,
    postgresql_database,
    postgresql_schema,
)
