"""Entry points of test processes."""

import queue
import signal
from pathlib import Path

from karbor_like import service
from karbor_like.protection.service import ProtectionService
from tests.functional.protection.site import Site


def serve(argv: list[str]) -> int:
    """Run the service without its supervisor, which would restart a dead worker: the test does that."""
    conf = service.prepare(argv)
    protection = ProtectionService(conf)
    # SimpleQueue takes no lock: a signal may arrive while this thread holds one.
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.put(number))
    protection.start()
    print("ready", flush=True)
    asked.get()
    protection.stop()
    return 0


def take_a_call(argv: list[str]) -> int:
    """Protect ``a``, and run no operation."""
    path = Path(argv[1])
    Site(path.parent, path).protect("a")
    return 0
