"""``karbor-like-operationengine``: the operation engine as a process."""

import sys

from karbor_like import service
from karbor_like.operationengine.service import OperationEngine


def main() -> int:
    """Run until SIGTERM. SIGHUP reloads mutable options."""
    return service.main(lambda conf: service.run(conf, OperationEngine(conf)))


if __name__ == "__main__":
    sys.exit(main())
