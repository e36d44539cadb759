"""``karbor-like-api``: the REST API as worker processes that share one port."""

import sys
from collections.abc import Sequence

from karbor_like import service
from karbor_like.api import server


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. SIGHUP reloads mutable options and the policy file."""
    return service.main(lambda conf: service.run(conf, server.ApiService(conf), workers=conf.api.workers), argv)


if __name__ == "__main__":
    sys.exit(main())
