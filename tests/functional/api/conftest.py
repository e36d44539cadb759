from tests.fixtures.api import (  # noqa: F401 - fixtures
    admin,
    alice,
    application,
    bob,
    client,
    clock,
    conf,
    database,
    empty_database,
    engine,
    protection,
)
