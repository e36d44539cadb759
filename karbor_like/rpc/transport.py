"""The message bus: RabbitMQ between processes, ``fake://`` inside one."""

import contextlib
import importlib
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging._drivers import impl_rabbit

from karbor_like import exception
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

#: Errors travel as these classes; everything else arrives as oslo_messaging.RemoteError.
ERROR_MODULE = exception.__name__


def set_defaults() -> None:
    """Replicated queues where the broker is RabbitMQ: classic mirrored ones are gone."""
    cfg.set_defaults(impl_rabbit.rabbit_opts, rabbit_quorum_queue=True, rabbit_transient_quorum_queue=True)


def get(conf: cfg.ConfigOpts) -> oslo_messaging.Transport:
    """The transport that ``transport_url`` names. Made after a fork, closed with ``cleanup()``."""
    set_defaults()
    for group in ("metrics", "tracing"):
        # The library registers these on its global configuration only, and reads them from ours. Older ones lack tracing.
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"oslo_messaging._{group}.client")
            conf.register_opts(getattr(module, f"oslo_messaging_{group}"), group=f"oslo_messaging_{group}")
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[ERROR_MODULE])


def stay_inside(conf: cfg.ConfigOpts) -> None:
    """For all services in one process: without a ``transport_url`` of the operator's there is no broker."""
    conf.register_opts(oslo_messaging.transport._transport_opts)
    conf.set_default("transport_url", "fake://")


def server(
    conf: cfg.ConfigOpts, transport: oslo_messaging.Transport, target: oslo_messaging.Target, endpoint: Any
) -> oslo_messaging.MessageHandlingServer:
    """A server that calls *endpoint*'s public methods, each call in a thread of its own."""
    return oslo_messaging.get_rpc_server(
        transport,
        target,
        [endpoint],
        serializer=Serializer(Cipher.from_conf(conf)),
        access_policy=oslo_messaging.DefaultRPCAccessPolicy,
    )
