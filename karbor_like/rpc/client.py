"""What the typed clients share: one call, with the errors of the error tree."""

from typing import Any

import oslo_messaging
from oslo_config import cfg

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.rpc import transport as rpc_transport
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

#: Seconds that a call may take which asks a cloud or a bank many things. The server shows that it is alive meanwhile.
_LONG_SECONDS = 900


class Client:
    """Calls any of the running services of one topic.

    Every call may raise the errors of :mod:`karbor_like.exception` that the service raised, and Unavailable where no
    service answered.

    :param transport: for sharing one between clients; otherwise made from *conf*
    """

    #: What the service is called in messages.
    service: str
    topic: str
    version: str

    def __init__(self, conf: cfg.ConfigOpts, transport: oslo_messaging.Transport | None = None) -> None:
        self._transport = transport or rpc_transport.get(conf)
        target = oslo_messaging.Target(topic=self.topic, version=self.version)
        self._cipher = Cipher.from_conf(conf)
        self._client = oslo_messaging.get_rpc_client(self._transport, target, serializer=Serializer(self._cipher))
        self._conf = conf

    def close(self) -> None:
        """Give connections back."""
        self._transport.cleanup()

    def ping(self, ctxt: RequestContext, *, timeout: float) -> dict[str, Any]:
        """``{"host": ...}`` of a service that is alive and reaches its database. Raises Unavailable after *timeout*
        seconds.
        """
        return self._call(ctxt, "ping", timeout)

    def _call(self, ctxt: RequestContext, method: str, timeout: float | None = None, **arguments: Any) -> Any:
        # Without a timeout of its own a call may be long: then the server's heartbeats, not the answer, must be timely.
        alive = self._conf.rpc_response_timeout
        options = {"timeout": timeout} if timeout else {"timeout": _LONG_SECONDS, "call_monitor_timeout": alive}
        try:
            return self._client.prepare(**options).call(ctxt, method, **arguments)
        except exception.KarborLikeError as error:
            raise _local(error) from None
        except oslo_messaging.MessagingTimeout:
            waited = timeout or alive
            raise exception.BusUnavailable(
                f"no {self.service} answered to {method} in {waited:g} seconds; is one running?"
            ) from None
        except (oslo_messaging.UnsupportedVersion, oslo_messaging.RemoteError) as error:
            if isinstance(error, oslo_messaging.RemoteError) and error.exc_type != "UnsupportedVersion":
                raise
            raise exception.Unavailable(
                f"a {self.service} does not support version {self.version} of its RPC; upgrade all services together"
            ) from None
        except (oslo_messaging.MessageDeliveryFailure, oslo_messaging.MessageUndeliverable) as error:
            raise exception.BusUnavailable(f"the message bus does not take {method}: {error}") from None


def _local(error: exception.KarborLikeError) -> exception.KarborLikeError:
    """*error* as its own class: over the bus it comes as a subclass whose text has the server's stack in it."""
    original = next(kind for kind in type(error).__mro__ if kind.__module__ == exception.__name__)
    return original(error.message)
