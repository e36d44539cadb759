"""Base of the typed RPC clients: one call, which raises the errors of the error tree."""

from typing import Any

import oslo_messaging
from oslo_config import cfg

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.rpc import transport as rpc_transport
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

#: Limit in seconds for calls that wait for a cloud or a bank. The server sends heartbeats meanwhile.
_LONG_SECONDS = 900


class Client:
    """Calls any of the running services of one topic.

    Every call raises the errors of :mod:`karbor_like.exception` that the service raised, and Unavailable if no service
    answered.

    :param transport: to share between clients; None: create one from *conf*
    """

    #: Name of the service in messages.
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
        """Close the connections."""
        self._transport.cleanup()

    def ping(self, ctxt: RequestContext, *, timeout: float) -> dict[str, Any]:
        """Return the ``host`` of a service that is alive and reaches its database.

        :param timeout: seconds
        :raises Unavailable: no service answered in time
        """
        return self._call(ctxt, "ping", timeout)

    def _call(self, ctxt: RequestContext, method: str, timeout: float | None = None, **arguments: Any) -> Any:
        # A call without a timeout of its own may be long. Then the heartbeats of the server must be timely, not its answer.
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
    """Restore the class of an error: over the bus it arrives as a subclass whose text contains the server's traceback."""
    original = next(kind for kind in type(error).__mro__ if kind.__module__ == exception.__name__)
    return original(error.message)
