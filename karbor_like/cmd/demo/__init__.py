"""Demonstration: protect a project with its servers, networks and volumes, delete everything, restore it, and compare.

Everything runs in one directory: a sandbox cloud with real data, and ``karbor-like-allinone`` on it. The demonstration acts
as a tenant, with the cloud's clients and the public REST API. It needs neither root nor a cloud.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from karbor_like import exception

_LOG: Final = "allinone.log"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    :returns: exit code, 0 if everything that was restored equals what was deleted
    """
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--volume", action="store_true", help="protect one volume instead of a project")
    parser.add_argument(
        "--serve", action="store_true", help="keep the services running until Ctrl-C, and print how to use them"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help="store everything in this directory (default: a temporary one); what an earlier run left there in the project "
        "is deleted",
    )
    options = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        directory = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="karbor_like-")))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        process = stack.enter_context(_allinone(directory))
        # Imports of clients take seconds, in which the services start.
        from karbor_like.cmd import embedded
        from karbor_like.cmd.demo import demonstration, tenant, volume, workload
        from karbor_like.sandbox.cloud import Connection

        environment = _read_environment(process, directory / _LOG)
        cloud = stack.enter_context(Connection(_auth_url(environment).removesuffix("/identity/v3")))
        alice = tenant.Tenant(cloud, embedded.FILES_PROVIDER)
        subject = volume.OneVolume(alice) if options.volume else workload.Workload(alice)
        code = 0 if demonstration.run(alice, subject) else 1
        if options.serve:
            tenant.OUT.print("\nThe services run until Ctrl-C. To use them from another terminal:\n")
            tenant.OUT.print(f"    export PATH={Path(sys.executable).parent}:$PATH", soft_wrap=True)
            tenant.OUT.print("\n".join(f"    {line}" for line in environment.splitlines()), soft_wrap=True)
            tenant.OUT.print("    openstack data protection plan list\n")
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    return code


@contextlib.contextmanager
def _allinone(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Run all services on a sandbox in *directory*; yield their process, which is still starting."""
    command = [sys.executable, "-W", "ignore", "-m", "karbor_like.cmd.allinone", "--sandbox", str(directory)]
    with (directory / _LOG).open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - our own command
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _read_environment(process: subprocess.Popen[str], log: Path) -> str:
    """Wait until the services have started, and return the environment that they print."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if "OS_USER_DOMAIN_ID" in line:
            return "\n".join(lines)
    raise exception.Unavailable(f"the services did not start; the end of {log}:\n{log.read_text()[-2000:]}")


def _auth_url(environment: str) -> str:
    values = dict(word.split("=", 1) for word in environment.split() if "=" in word)
    return values["OS_AUTH_URL"]
