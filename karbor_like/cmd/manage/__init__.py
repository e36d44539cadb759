"""``karbor-like-manage``: the operator's tool.

One module per noun, each with ``register(nouns)``; a verb's function takes the configuration and returns an exit code.
"""

import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from karbor_like import exception, service
from karbor_like.cmd.manage import bank, db, secret

_NOUNS = (bank, db, secret)


def _register(nouns: Any) -> None:
    nouns.required = True
    for module in _NOUNS:
        module.register(nouns)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit code: 0 done, 1 failed, 2 the command line is wrong."""
    command = cfg.SubCommandOpt("command", title="command", handler=_register)
    conf = service.prepare(argv, cli=[command], prints=True)
    try:
        return conf.command.run(conf)
    except exception.KarborLikeError as error:
        print(f"karbor-like-manage: {error}", file=sys.stderr)
        return 1
