"""Runs a sandbox cloud alone, until SIGTERM or SIGINT."""

import argparse
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from karbor_like.sandbox import cloud
from karbor_like.signals import Signals

ENVIRONMENT = """\
export OS_AUTH_URL={auth_url}
export OS_USERNAME=alice OS_PASSWORD=secret OS_PROJECT_NAME=alice
export OS_USER_DOMAIN_ID=default OS_PROJECT_DOMAIN_ID=default OS_IDENTITY_API_VERSION=3"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the sandbox and print the environment for clients."""
    parser = argparse.ArgumentParser(prog="python -m karbor_like.sandbox", description=__doc__)
    parser.add_argument(
        "--state", type=Path, required=True, help="directory of its state; an existing state is continued"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 selects a free one (default)")
    parser.add_argument(
        "--backups",
        type=Path,
        help="directory of the bytes of backups, for sites that share it (default: in --state)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signals = Signals((signal.SIGTERM, signal.SIGINT))
    with cloud.Sandbox(options.state, host=options.host, port=options.port, backups_dir=options.backups) as sandbox:
        print(ENVIRONMENT.format(auth_url=sandbox.auth_url), flush=True)
        signals.wait()
