"""``karbor-like-protection``: the protection service as a process."""

import sys

from karbor_like import service
from karbor_like.protection.service import ProtectionService


def main() -> int:
    """Run until SIGTERM. SIGHUP reloads mutable options and providers."""
    return service.main(lambda conf: service.run(conf, ProtectionService(conf)))


if __name__ == "__main__":
    sys.exit(main())
