"""``karbor-like-manage secret``: generation of keys."""

import base64
import secrets
from typing import Any

from oslo_config import cfg

from karbor_like import secret


def register(nouns: Any) -> None:
    """Add ``secret new-key`` and ``secret new-master-key``."""
    verbs = nouns.add_parser("secret", help="generate keys for the configuration").add_subparsers(
        dest="verb", required=True
    )
    new_key = verbs.add_parser("new-key", help="print a new key for [secret] keys of the configuration")
    new_key.set_defaults(run=print_key)
    new_master = verbs.add_parser("new-master-key", help="print a new line for [bank] master_keys of a provider's file")
    new_master.add_argument("key_name", metavar="name", help="name of the key, such as the year")
    new_master.set_defaults(run=print_master_key)


def print_key(conf: cfg.ConfigOpts) -> int:
    """Print a new Fernet key."""
    print(secret.new_key())
    return 0


def print_master_key(conf: cfg.ConfigOpts) -> int:
    """Print a new master key: its name, and 32 random bytes in base64."""
    print(f"{conf.command.key_name}:{base64.b64encode(secrets.token_bytes(32)).decode()}")
    return 0
