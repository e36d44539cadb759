from oslo_config import cfg

GROUP = cfg.OptGroup("secret", title="Encryption of tokens and other secrets in RPC and in the database")

OPTS = [
    cfg.MultiStrOpt(
        "keys",
        default=[],
        secret=True,
        help="""
Fernet keys that encrypt user tokens, trust ids and passwords of restore targets wherever they rest or travel. Give one
line per key, the same on every host; the first encrypts, all decrypt. To rotate, put a new key in front, restart the
services, and remove the old one when no operation started before the change is still running.
""",
    ),
]
