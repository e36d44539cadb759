from oslo_config import cfg

#: The group of oslo.db, which has all other options.
GROUP = cfg.OptGroup("database", title="The database")

OPTS = [
    cfg.FloatOpt(
        "connect_timeout",
        default=5.0,
        min=0.1,
        help="Seconds to wait for a new connection to the database server.",
    ),
    cfg.FloatOpt(
        "statement_timeout",
        default=20.0,
        min=0.1,
        help="""
Seconds to wait for the answer to a statement, including its waits for locks. After that the database is treated as
unreachable, and the connection is closed. Keep it below a third of ``[protection] lease`` and of ``[operationengine]
lease``, so that a lease is renewed in spite of a connection that falls silent. A URL with ``read_timeout`` takes precedence.
""",
    ),
    cfg.FloatOpt(
        "migration_timeout",
        default=3600.0,
        min=1.0,
        help="""
Seconds to wait for the answer to a statement of ``karbor-like-manage db sync``, which may rewrite a large table.
""",
    ),
]
