from oslo_config import cfg

GROUP = cfg.OptGroup("secret", title="Encryption of tokens and other secrets in RPC and in the database")

OPTS = [
    cfg.MultiStrOpt(
        "keys",
        default=[],
        secret=True,
        help="""
Fernet keys that encrypt user tokens, trust ids and passwords of restore targets in the database and in RPC messages. Give
one line per key, the same lines on every host. The first key encrypts; all keys decrypt. To rotate, insert a new key before
the others and restart the services. Remove the old key when no operation that started before the change is still running.
""",
    ),
]
