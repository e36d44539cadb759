"""The services that take a request which starts an operation: the API, and the other end of its calls.

On a real message bus, it is the API only, whose calls go to the protection services. Without one, both are this process,
which runs no operations.
"""

import os
import queue
import signal
from pathlib import Path

import oslo_messaging

from karbor_like import service
from karbor_like.api.server import ApiService
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.executor import Executor
from karbor_like.rpc import protection, transport
from tests.faults import agent


def serve(argv: list[str]) -> int:
    """Run until SIGTERM."""
    agent.install()
    conf = service.prepare(argv)
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.put(number))
    if oslo_messaging.TransportURL.parse(conf).transport == "fake":
        env = ServiceContext.make(conf)
        target = oslo_messaging.Target(topic=protection.TOPIC, server="front", version=protection.VERSION)
        endpoint = Endpoint(env, Executor(env), lambda context: None)
        transport.server(conf, transport.get(conf), target, endpoint).start()
    api = ApiService(conf)
    api.start()
    path = Path(os.environ[agent.URL_VARIABLE])
    part = path.with_suffix(".part")
    part.write_text("http://{}:{}".format(*api.address))
    part.replace(path)
    asked.get()
    return 0
