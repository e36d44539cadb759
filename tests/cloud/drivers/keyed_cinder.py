"""The programs cinder-volume and cinder-backup, with the key of their user in Ceph in the file that ``CEPH_KEYRING`` names.

os-brick, with which they copy between an image in Ceph and something else, looks for the key in /etc/ceph only, where tests
must not write. The first argument is the name of the program; the others are its own.
"""

import importlib
import os
import sys
from pathlib import Path


def _key(keyring: str | None, cluster_name: str, user: str) -> str:
    return keyring or Path(os.environ["CEPH_KEYRING"]).read_text()


if __name__ == "__main__":
    # First, because it prepares the process for the backend of its threads.
    program = importlib.import_module(f"cinder.cmd.{sys.argv.pop(1).removeprefix('cinder-')}")
    connectors = importlib.import_module("os_brick.initiator.connectors.rbd")
    connectors.RBDConnector._check_or_get_keyring_contents = staticmethod(_key)
    program.main()
