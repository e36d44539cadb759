"""Who sends a request, as keystonemiddleware found out, remembered for some seconds.

keystonemiddleware keeps what Keystone said about a token, and still evaluates all of it for each request: that takes longer
than everything else that a request for one row does. Here the result of the evaluation is kept.
"""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from karbor_like.clock import Clock
from karbor_like.context import RequestContext

Environment = dict[str, Any]
Application = Callable[..., Any]

#: Key of the environment of a request: the caller, a context that belongs to no request.
_CALLER: Final = "karbor_like.caller"
#: Part of the time for which tokens are cached that belongs to this cache, and its maximum in seconds.
_SHARE: Final = 10
_MAX_SECONDS: Final = 10
#: Callers that are remembered. One has the size of the catalogue of services in its token.
_MAX_CALLERS: Final = 1000


def seconds_of(token_cache_time: int) -> int:
    """Return the part of ``[keystone_authtoken] token_cache_time`` (seconds) for which callers are remembered.

    keystonemiddleware caches tokens for the rest, so that a token is still evaluated again after the time that is configured.
    """
    return max(0, min(_MAX_SECONDS, token_cache_time // _SHARE))


class Callers:
    """The callers of a process with tokens that were valid less than some seconds ago.

    A caller is remembered only if its identity depends on nothing but the token: not on a service token that comes with it, a
    binding to a client, or rules for paths.

    :param seconds: 0: none is remembered
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        #: Token -> (monotonic time at which it is forgotten, caller), oldest first.
        self._known: OrderedDict[str, tuple[float, RequestContext]] = OrderedDict()

    def recall(self, environ: Environment) -> bool:
        """Store the caller in the environment of a request whose token is remembered. Return whether it is."""
        if "HTTP_X_SERVICE_TOKEN" in environ:
            return False
        end, caller = self._known.get(environ.get("HTTP_X_AUTH_TOKEN", ""), (0.0, None))
        if caller is None or self._clock.monotonic() >= end:
            return False
        environ[_CALLER] = caller
        return True

    def remembering(self, application: Application) -> Application:
        """Return *application*, to be called after keystonemiddleware: it remembers the callers of valid tokens."""

        def remember(environ: Environment, start_response: Any) -> Any:
            seconds = self._time_of(environ)
            if seconds > 0:
                environ[_CALLER] = _read(environ)
                self._remember(environ["HTTP_X_AUTH_TOKEN"], seconds, environ[_CALLER])
            return application(environ, start_response)

        return remember

    def _time_of(self, environ: Mapping[str, Any]) -> float:
        token = _token_of(environ)
        if (
            environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed"
            or "HTTP_X_AUTH_TOKEN" not in environ
            or "HTTP_X_SERVICE_TOKEN" in environ
            or "expires_at" not in token
            or token.get("bind")
            or token.get("application_credential", {}).get("access_rules") is not None
        ):
            return 0
        left = datetime.fromisoformat(token["expires_at"]) - self._clock.now()
        return min(self._seconds, left.total_seconds())

    def _remember(self, token: str, seconds: float, caller: RequestContext) -> None:
        with self._lock:
            self._known.pop(token, None)
            self._known[token] = self._clock.monotonic() + seconds, caller
            # The token may have expired meanwhile, and may be the only one.
            while self._known and (
                len(self._known) > _MAX_CALLERS or next(iter(self._known.values()))[0] <= self._clock.monotonic()
            ):
                self._known.popitem(last=False)


def context_of(environ: Environment) -> RequestContext:
    """Return the context of a request that has passed the token check."""
    # A client cannot set keys of the environment without the prefix HTTP_.
    context = copy.copy(environ.get(_CALLER) or _read(environ))
    context.request_id = environ.get("openstack.request_id") or context.request_id
    context.global_request_id = environ.get("openstack.global_request_id")
    context.update_store()
    return context


def _read(environ: Environment) -> RequestContext:
    """Return the caller that keystonemiddleware stored in the environment of a request."""
    token = _token_of(environ)
    trust = token.get("OS-TRUST:trust", {})
    restricted = token.get("application_credential", {}).get("restricted", False)
    return RequestContext.from_environ(
        environ,
        service_catalog=environ.get("HTTP_X_SERVICE_CATALOG"),
        trust_id=trust.get("id"),
        trustee_id=trust.get("trustee_user", {}).get("id"),
        is_delegated=bool(trust) or restricted,
        overwrite=False,
    )


def _token_of(environ: Mapping[str, Any]) -> Mapping[str, Any]:
    token: Mapping[str, Any] = environ.get("keystone.token_info", {}).get("token", {})
    return token
