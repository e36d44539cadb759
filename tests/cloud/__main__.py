"""``python -m tests.cloud install|up|down|run|status|env``: real OpenStack on this machine."""

import argparse
import subprocess
import sys
from typing import Final

from tests.cloud import packages
from tests.cloud.cloud import Cloud
from tests.cloud.errors import CannotRun, HarnessError
from tests.cloud.layout import PASSWORD, REGION, Layout

#: What ``install`` installs besides the cloud.
_PACKAGES: Final = {"servers": packages.SERVERS, "browser": packages.BROWSER}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cloud", description=__doc__)
    parser.add_argument("--second", action="store_true", help="the second cloud, in addition to the first one")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="install the packages and start nothing")
    install.add_argument("what", choices=["servers", "browser", "cloud"])
    commands.add_parser("up", help="install and start everything that is missing")
    commands.add_parser("down", help="stop everything; the data is kept")
    run = commands.add_parser("run", help="run a command while the cloud is up; stop it unless it ran before")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("status", help="show which processes run; the exit code is 1 unless all do")
    env = commands.add_parser("env", help="print the environment for the openstack command line")
    env.add_argument("user", choices=["admin", "alice", "bob"], nargs="?", default="alice")
    args = parser.parse_args(argv)
    layout = Layout.from_environment()
    layout = layout.second() if args.second else layout
    try:
        return _run(args, layout)
    except HarnessError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, layout: Layout) -> int:
    if args.command == "env":
        for name, value in _openrc(layout, args.user).items():
            print(f"export {name}={value}")
        return 0
    if args.command == "install" and args.what in _PACKAGES:
        packages.install_debian(_PACKAGES[args.what], layout.log("apt"))
        return 0
    cloud = Cloud(layout)
    if args.command == "status":
        for name, pid in cloud.status().items():
            print(f"{name:20} {pid or 'not running'}")
        return 0 if cloud.running() else 1
    if args.command == "run":
        try:
            with cloud.session():
                return subprocess.call(args.argv)
        except CannotRun as error:
            # The command decides how to handle a missing cloud: tests are skipped, or fail if a cloud is required.
            print(f"no cloud: {error}", flush=True)
            return subprocess.call(args.argv)
    {"install": cloud.install, "up": cloud.up, "down": cloud.down}[args.command]()
    return 0


def _openrc(layout: Layout, user: str) -> dict[str, str]:
    return {
        "OS_AUTH_URL": layout.auth_url,
        "OS_USERNAME": user,
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }


if __name__ == "__main__":
    sys.exit(main())
