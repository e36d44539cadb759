"""Benchmark of take-over: ``python -m tests.perf.takeover``.

A service that runs 1, 10 and 100 operations is killed while another one runs. It prints how long it takes until the other one
has claimed all of them, and until all have ended. The lease, of three seconds, is a part of both. This is not a test: no
result makes it fail.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# First, because the first import of oslo.service selects its backend for the process.
import karbor_like.service  # noqa: F401
from tests.functional.protection import plugins
from tests.functional.protection.processes import Zygote, started
from tests.functional.protection.site import Site, until, write_files

LEASE = 3
#: Seconds after which the benchmark gives up.
_PATIENCE = 600


def measure(zygote: Zygote, directory: Path, operations: int) -> tuple[float, float]:
    """Return the seconds from the kill to the last claim, and to the last end."""
    files = write_files(directory, lease=LEASE)
    files.write_text(
        files.read_text().replace("drain", f"max_operations = {operations}\nmax_streams = {operations}\ndrain", 1)
    )
    other = files.with_name("there.conf")
    other.write_text(files.read_text().replace("host = here", "host = there"))
    os.environ[plugins.VARIABLE] = str(directory / "cloud")
    site = Site(directory, files)
    names = [f"n{number}" for number in range(operations)]
    site.cloud.plant({name: [] for name in names})
    site.cloud.fault(**{f"main:{name}": "wait" for name in names})
    created = [site.protect(name)["id"] for name in names]

    def begun() -> int:
        return sum(call.startswith("protect:main:") and call.endswith(":begin") for call in site.cloud.calls())

    def hosts() -> set[str]:
        return {str(site.operation(checkpoint_id=each).owner).split(":")[0] for each in created}

    with started(zygote, files, "first") as first:
        until(begun, lambda count: count == operations, _PATIENCE, "all operations to run")
        with started(zygote, other, "second") as second:
            until(second.log.read_text, lambda text: "is ready as" in text, _PATIENCE, "the other service")
            first.kill()
            killed = time.monotonic()
            (site.cloud.path / "go").touch()
            until(hosts, lambda found: found == {"there"}, _PATIENCE, "the claims")
            claimed = time.monotonic() - killed
            for each in created:
                assert site.wait(each, "available", "error", seconds=_PATIENCE).status == "available"
            ended = time.monotonic() - killed
    site.close()
    return claimed, ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf.takeover", description=__doc__)
    parser.add_argument("--operations", type=int, nargs="+", default=[1, 10, 100], help="numbers of operations")
    options = parser.parse_args(arguments)
    zygote = Zygote()
    print(f"{'operations':>10}{'claimed':>12}{'ended':>12}")
    for number in options.operations:
        with tempfile.TemporaryDirectory(prefix="karbor_like-takeover-") as directory:
            claimed, ended = measure(zygote, Path(directory), number)
            print(f"{number:>10}{claimed:>10.1f} s{ended:>10.1f} s", flush=True)
    zygote.close()


if __name__ == "__main__":
    main()
