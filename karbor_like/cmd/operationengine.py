"""karbor-like-operationengine"""

import sys

from karbor_like import service
from karbor_like.operationengine.service import OperationEngine


def main() -> int:
    """Run an operation engine until it is told to stop. Returns the exit code."""
    conf = service.prepare()
    return service.run(conf, OperationEngine(conf))


if __name__ == "__main__":
    sys.exit(main())
