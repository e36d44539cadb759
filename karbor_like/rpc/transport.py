"""The message bus: RabbitMQ between processes, ``fake://`` inside one."""

import contextlib
import importlib
import logging
from collections.abc import Callable
from typing import Any, Final

import oslo_messaging
from kombu import exceptions as kombu_errors
from oslo_config import cfg
from oslo_messaging._drivers import amqpdriver, common, impl_rabbit

from karbor_like import deadline, exception
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Errors travel as these classes; everything else arrives as oslo_messaging.RemoteError.
ERROR_MODULE = exception.__name__

#: Seconds in which connections are closed. The driver waits for threads that may be connecting.
_CLOSE_SECONDS: Final = 5.0
#: Seconds after which a server that starts looks again whether it is to stop.
_POLL_SECONDS: Final = 0.2

#: Errors of a bus that cannot be reached. The driver does not translate the last two if it cannot open a connection.
UNREACHABLE: Final = (oslo_messaging.MessageDeliveryFailure, kombu_errors.KombuError, OSError)


def set_defaults() -> None:
    """Use replicated queues on RabbitMQ, which no longer has classic mirrored queues."""
    cfg.set_defaults(impl_rabbit.rabbit_opts, rabbit_quorum_queue=True, rabbit_transient_quorum_queue=True)


def get(conf: cfg.ConfigOpts) -> oslo_messaging.Transport:
    """Create the transport for ``transport_url``, after a fork. Close it with ``cleanup()``."""
    set_defaults()
    for group in ("metrics", "tracing"):
        # The library registers these only on its global configuration, but reads them from *conf*. Old versions lack tracing.
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"oslo_messaging._{group}.client")
            conf.register_opts(getattr(module, f"oslo_messaging_{group}"), group=f"oslo_messaging_{group}")
    transport = oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[ERROR_MODULE])
    if isinstance(transport._driver, amqpdriver.AMQPDriverBase):
        _bound_connecting(transport._driver, attempts(conf))
    return transport


def attempts(conf: cfg.ConfigOpts) -> int:
    """Return how often to retry a connection: once for each broker, the last for one that was cut since its last use."""
    return max(1, len(oslo_messaging.TransportURL.parse(conf).hosts))


def _bound_connecting(driver: amqpdriver.AMQPDriverBase, retries: int) -> None:
    """Let connections that receive messages give up: the library retries them without a limit, and has no option for that."""
    pool = driver._connection_pool
    create = pool.create

    def bounded(purpose: str = common.PURPOSE_SEND, retry: int | None = None) -> Any:
        return create(purpose, retries if purpose == common.PURPOSE_LISTEN else retry)

    pool.create = bounded


def close(transport: oslo_messaging.Transport) -> None:
    """Close the connections of *transport*, without waiting for an unreachable bus."""
    try:
        deadline.within(_CLOSE_SECONDS, "closing the message bus", transport.cleanup)
    except TimeoutError as error:
        LOG.warning("%s; its connections end with the process", error)


def stay_inside(conf: cfg.ConfigOpts) -> None:
    """Default to an in-process transport, for all services in one process: use a broker only if the operator names one."""
    conf.register_opts(oslo_messaging.transport._transport_opts)
    conf.set_default("transport_url", "fake://")


class Server:
    """A server of RPC that waits at its start for the message bus.

    :param make: returns a new server of the library, of which each can be started only once
    """

    def __init__(self, make: Callable[[], oslo_messaging.MessageHandlingServer]) -> None:
        self._make = make
        self._server: oslo_messaging.MessageHandlingServer | None = None

    def start(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Start to answer calls, as soon as the bus answers.

        :param stopping: whether to give up; asked several times a second
        :returns: whether it has started
        """
        waits = False
        while not stopping():
            server = self._make()
            # An attempt lasts for as long as a silent broker is waited for.
            attempt = deadline.Call("rpc-server", server.start)
            while not attempt.wait(_POLL_SECONDS):
                if stopping():
                    return False
            try:
                attempt.result()
            except UNREACHABLE as error:
                if not waits:
                    LOG.warning("This service answers no calls until the message bus answers: %s", error)
                waits = True
                continue
            self._server = server
            if waits:
                LOG.info("The message bus answers")
            return True
        return False

    def stop(self) -> None:
        """Take no further call."""
        if self._server is not None:
            self._server.stop()

    def wait(self) -> None:
        """Wait for the end of the calls in progress."""
        if self._server is not None:
            self._server.wait()


def server(
    conf: cfg.ConfigOpts, transport: oslo_messaging.Transport, target: oslo_messaging.Target, endpoint: Any
) -> Server:
    """Create a server that runs each call of a public method of *endpoint* in its own thread."""
    return Server(
        lambda: oslo_messaging.get_rpc_server(
            transport,
            target,
            [endpoint],
            serializer=Serializer(Cipher.from_conf(conf)),
            access_policy=oslo_messaging.DefaultRPCAccessPolicy,
        )
    )
