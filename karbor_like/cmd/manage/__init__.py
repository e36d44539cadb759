"""``karbor-like-manage``: the command line for operators.

There is one module per noun, each with ``register(nouns)``. The function of a verb takes the configuration and returns an
exit code.
"""

import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from karbor_like import exception, service
from karbor_like.cmd.manage import bank, cloud, control, db, provider, secret

_NOUNS = (bank, cloud, control, db, provider, secret)


def _register(nouns: Any) -> None:
    nouns.required = True
    for module in _NOUNS:
        module.register(nouns)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of the command line.

    :returns: exit code: 0 on success, 1 on failure, 2 for an invalid command line
    """
    command = cfg.SubCommandOpt("command", title="command", handler=_register)
    try:
        conf = service.prepare(argv, cli=[command], prints=True)
        return conf.command.run(conf)
    except (exception.KarborLikeError, cfg.ConfigFileValueError) as error:
        print(f"karbor-like-manage: {error}", file=sys.stderr)
        return 1
