"""The message bus: RabbitMQ between processes, ``fake://`` inside one."""

import contextlib
import importlib
import logging
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging._drivers import impl_rabbit

from karbor_like import deadline, exception
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Errors travel as these classes; everything else arrives as oslo_messaging.RemoteError.
ERROR_MODULE = exception.__name__

#: Seconds in which connections are closed. The driver waits for threads that may be connecting.
_CLOSE_SECONDS = 5.0


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
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[ERROR_MODULE])


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


def server(
    conf: cfg.ConfigOpts, transport: oslo_messaging.Transport, target: oslo_messaging.Target, endpoint: Any
) -> oslo_messaging.MessageHandlingServer:
    """Create a server that runs each call of a public method of *endpoint* in its own thread."""
    return oslo_messaging.get_rpc_server(
        transport,
        target,
        [endpoint],
        serializer=Serializer(Cipher.from_conf(conf)),
        access_policy=oslo_messaging.DefaultRPCAccessPolicy,
    )
