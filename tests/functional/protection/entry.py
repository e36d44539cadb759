"""What test processes run."""

import queue
import signal
from pathlib import Path

from karbor_like import service
from karbor_like.protection.service import ProtectionService
from tests.functional.protection.site import Site


def serve(argv: list[str]) -> int:
    """The service without its supervisor, which would start a dead worker again: here the test does that."""
    conf = service.prepare(argv)
    protection = ProtectionService(conf)
    # Nothing with a lock: the signal may come while this very thread holds it.
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.put(number))
    protection.start()
    print("ready", flush=True)
    asked.get()
    protection.stop()
    return 0


def take_a_call(argv: list[str]) -> int:
    """Protect ``a``, without running anything."""
    path = Path(argv[1])
    Site(path.parent, path).protect("a")
    return 0
