"""Base of the typed RPC clients: one call, which raises the errors of the error tree."""

import copy
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, ClassVar

import oslo_messaging
from oslo_config import cfg

from karbor_like import deadline, exception
from karbor_like.clock import Clock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.metrics import families
from karbor_like.rpc import transport as rpc_transport
from karbor_like.rpc.serializer import Serializer
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Limit in seconds for calls that wait for a cloud or a bank. The server sends heartbeats meanwhile.
_LONG_SECONDS = 900

#: Calls of one client at a time, with those that were abandoned and are still waiting for the bus.
_SLOTS = 64

_UNDELIVERED = (oslo_messaging.MessageUndeliverable, *rpc_transport.UNREACHABLE)

#: Gives the call of a request leave to wait, as a context that yields the seconds that it may take.
Guard = Callable[[RequestContext], AbstractContextManager[float]]


def parse(version: str) -> tuple[int, int]:
    """Return the major and the minor version."""
    major, minor = version.split(".")
    return int(major), int(minor)


def unguarded(ctxt: RequestContext) -> AbstractContextManager[float]:
    """Let every call take as long as the longest."""
    return nullcontext(float(_LONG_SECONDS))


class _Sending(oslo_messaging.TransportOptions):
    """Options of one message, which drivers of brokers read each time directly before they send it.

    :param seconds: after which it must not be sent any more
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._end = clock.monotonic() + seconds
        #: Whether there is a connection, on which it is being sent or was sent.
        self.begun = threading.Event()

    @property
    def at_least_once(self) -> bool:
        """False: that a queue exists is not checked.

        :raises MessagingTimeout: the caller has given up
        """
        if self._clock.monotonic() > self._end:
            raise oslo_messaging.MessagingTimeout("the caller does not wait any more")
        self.begun.set()
        return False


class Client:
    """Calls any of the running services of one topic.

    Every call raises the errors of :mod:`karbor_like.exception` that the service raised, and Unavailable if no service
    answered. Every call ends in time, also if the bus is unreachable: oslo.messaging waits for a connection without a limit,
    so that each message is sent in a thread of its own, which is abandoned. A message that is delivered after its caller
    has given up is not carried out: the client does not send it, and a service refuses it (``rpc/server.py``).

    :param transport: to share between clients; None: create one from *conf*
    :param clock: tells the services when the caller of a message gives up
    :param guard: asked before each call but :meth:`ping`
    :raises ConfigurationError: see :meth:`called`
    """

    #: Name of the service in messages.
    service: str
    #: Name of the option in ``[upgrade_levels]``.
    level: str
    topic: str
    version: str
    #: Method -> argument that was added -> minor version since which services accept it, and the value that means the same as
    #: leaving it out.
    added: ClassVar[Mapping[str, Mapping[str, tuple[int, Any]]]] = {}

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        transport: oslo_messaging.Transport | None = None,
        clock: Clock | None = None,
        guard: Guard = unguarded,
    ) -> None:
        self._version = self.called(conf)
        self._transport = transport or rpc_transport.get(conf)
        target = oslo_messaging.Target(topic=self.topic, version=self._version)
        self._cipher = Cipher.from_conf(conf)
        self._has_broker = oslo_messaging.TransportURL.parse(conf).transport != "fake"
        self._client = oslo_messaging.get_rpc_client(
            self._transport,
            target,
            serializer=Serializer(self._cipher),
            retry=rpc_transport.attempts(conf),
        )
        self._conf = conf
        self._clock = clock or SystemClock()
        self._guard = guard
        self._slots = threading.Semaphore(_SLOTS)

    @classmethod
    def called(cls, conf: cfg.ConfigOpts) -> str:
        """Return the version of RPC to call: that of the option in ``[upgrade_levels]``, or the newest if it is not set.

        :raises ConfigurationError: this release cannot call the version of the option
        """
        pin: str | None = conf.upgrade_levels[cls.level]
        if pin is None:
            return cls.version
        (major, minor), (own_major, own_minor) = parse(pin), parse(cls.version)
        if major != own_major or minor > own_minor:
            raise exception.ConfigurationError(
                f"[upgrade_levels] {cls.level} = {pin}: this release calls versions {own_major}.0 to {cls.version}; set one"
                " of these, or remove the option"
            )
        return pin

    def close(self) -> None:
        """Close the connections."""
        rpc_transport.close(self._transport)

    def ping(self, ctxt: RequestContext, *, timeout: float) -> dict[str, Any]:
        """Return the ``host`` of a service that is alive and reaches its database.

        :param timeout: seconds
        :raises Unavailable: no service answered in time
        """
        return self._call(ctxt, "ping", timeout)

    def _call(self, ctxt: RequestContext, method: str, timeout: float | None = None, **arguments: Any) -> Any:
        self._leave_out(method, arguments)
        try:
            if timeout is not None:
                return self._ask(ctxt, method, timeout, timeout, arguments)
            with self._guard(ctxt) as limit:
                # The call may be long: the heartbeats of the server must be timely, not its answer.
                return self._ask(ctxt, method, min(self._conf.rpc_response_timeout, limit), limit, arguments)
        except Exception as error:
            families.count_rpc_error("client", method, error)
            raise

    def _leave_out(self, method: str, arguments: dict[str, Any]) -> None:
        """Remove the arguments that the version that is called does not have.

        :raises Unsupported: one of them asks for something
        """
        _, minor = parse(self._version)
        for name, (since, default) in self.added.get(method, {}).items():
            if since > minor and arguments.pop(name, default) != default:
                raise exception.Unsupported(
                    f"{name}: is not possible while {self.service}s of an earlier release may run ([upgrade_levels]"
                    f" {self.level} = {self._version}); try again after the upgrade"
                )

    def _ask(self, ctxt: RequestContext, method: str, patience: float, limit: float, arguments: dict[str, Any]) -> Any:
        """Make a call.

        :param patience: seconds to wait for the message to be sent, and then for each sign of life of the service
        :param limit: seconds to wait for the answer of a service that gives signs of life
        """
        options = {"timeout": limit, "call_monitor_timeout": patience} if limit > patience else {"timeout": limit}
        sending = _Sending(patience, self._clock)
        if not self._has_broker:
            sending.begun.set()
        sent = copy.copy(ctxt)
        sent.deadline = self._clock.now() + timedelta(seconds=patience)
        client = self._client.prepare(transport_options=sending, **options)
        end = self._clock.monotonic() + patience
        silent = exception.BusUnavailable(
            f"no {self.service} answered to {method} in {patience:g} seconds; is one running?"
        )
        if not self._slots.acquire(timeout=patience):
            raise silent
        call = deadline.Call(f"rpc-{method}", lambda: client.call(sent, method, **arguments), self._slots.release)
        try:
            if not call.wait(end - self._clock.monotonic()) and not (
                limit > patience and sending.begun.is_set() and call.wait(limit - patience)
            ):
                raise silent
            return call.result()
        except exception.KarborLikeError as error:
            raise _local(error) from None
        except oslo_messaging.MessagingTimeout:
            raise silent from None
        except (oslo_messaging.UnsupportedVersion, oslo_messaging.RemoteError) as error:
            if isinstance(error, oslo_messaging.RemoteError) and error.exc_type != "UnsupportedVersion":
                raise
            raise exception.Unavailable(
                f"a {self.service} does not support version {self._version} of its RPC; upgrade all services, or set"
                f" [upgrade_levels] {self.level} of its callers to its version"
            ) from None
        except _UNDELIVERED as error:
            LOG.warning("the message bus does not take %s: %s", method, error)
            raise exception.BusUnavailable(f"the message bus does not take {method}; try again later") from None

    def _hint(self, ctxt: RequestContext, method: str) -> None:
        """Send a message to all services, without arguments. Never waits and never fails: it may be lost."""
        if not self._slots.acquire(blocking=False):
            return
        client = self._client.prepare(fanout=True)

        def send() -> None:
            try:
                client.cast(ctxt, method)
            except Exception as error:  # noqa: BLE001 - the border of a thread
                LOG.debug("%s was not sent: %s", method, error)

        deadline.Call(f"rpc-{method}", send, self._slots.release)


def _local(error: exception.KarborLikeError) -> exception.KarborLikeError:
    """Restore the class of an error: over the bus it arrives as a subclass whose text contains the server's traceback."""
    return exception.kind_of(error)(error.message)
