"""What the libraries lack: a limit for a whole request over HTTP, and the renewal of a token that threads share."""

import threading
from collections.abc import Collection
from typing import Any, Final
from urllib import parse

import requests
from keystoneauth1 import identity, plugin, service_token
from keystoneauth1 import session as ksa_session
from keystoneauth1.identity.access import AccessInfoPlugin

from karbor_like import deadline


class LimitedSession(requests.Session):
    """A session whose requests end in time, however slowly the bytes of the response arrive.

    Transfers of images are not limited: streamed responses, and bodies that are iterated over.

    :param total: seconds for a request
    """

    def __init__(self, total: float) -> None:
        super().__init__()
        self._total = total
        self._merged: dict[tuple[Any, ...], dict[str, Any]] = {}
        # As keystoneauth does for its own sessions.
        for scheme in ("http://", "https://"):
            self.mount(scheme, ksa_session.TCPKeepAliveAdapter())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request.

        :raises requests.ReadTimeout: the limit is reached
        """
        send = super().send
        if kwargs.get("stream") or not isinstance(request.body, str | bytes | None):
            return send(request, **kwargs)
        try:
            return deadline.within(self._total, f"{request.method} {request.url}", lambda: send(request, **kwargs))
        except TimeoutError as error:
            raise requests.exceptions.ReadTimeout(str(error), request=request) from None

    def merge_environment_settings(
        self, url: str, proxies: dict[str, str] | None, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return the settings of a request, with those of the environment: proxies and certificates.

        The library reads the whole environment for each request. Here it is read once for each server, because the
        environment of a service does not change.
        """
        if proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        server = parse.urlsplit(url)[:2]
        key = (*server, stream, verify, cert)
        if key not in self._merged:
            self._merged[key] = super().merge_environment_settings(url, {}, stream, verify, cert)
        merged = self._merged[key]
        return {**merged, "proxies": dict(merged["proxies"])}


#: Held while a token is compared and discarded, which sends no request. Sessions may have plugins in common.
_DISCARDING: Final = threading.Lock()


class SharedSession(ksa_session.Session):
    """A session whose plugin several threads use, also through other sessions.

    A service may refuse the token of many requests at once. The plugin then signs in once, and all of the requests are sent
    again. The library would discard the new token that another thread has just got; and it would fail a request if another
    thread had discarded the token, but not signed in yet.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: What each thread sent last.
        self._sent = threading.local()

    def get_auth_headers(self, auth: plugin.BaseAuthPlugin | None = None) -> dict[str, str] | None:
        """Return the headers with the tokens of *auth*, by default of the session's plugin. May sign in."""
        headers = super().get_auth_headers(auth)
        self._sent.tokens = frozenset((headers or {}).values())
        return headers

    def invalidate(self, auth: plugin.BaseAuthPlugin | None = None) -> bool:
        """Discard the tokens that this thread sent last, unless *auth* has new ones. Return whether to send again."""
        tokens = getattr(self._sent, "tokens", None)
        used = auth or self.auth
        if not tokens or used is None:
            return super().invalidate(auth)
        return _discard(used, tokens)


def _discard(auth: plugin.BaseAuthPlugin, tokens: Collection[str]) -> bool:
    """Let *auth* forget those of *tokens* that it has. Return whether it has other ones, or can sign in to get them."""
    if isinstance(auth, service_token.ServiceTokenAuthWrapper):
        parts = [_discard(part, tokens) for part in (auth.user_auth, auth.service_auth)]
        return any(parts)
    # This one cannot sign in; its invalidate() says so.
    if isinstance(auth, AccessInfoPlugin) or not isinstance(auth, identity.BaseIdentityPlugin):
        return auth.invalidate()
    with _DISCARDING:
        known = auth.auth_ref
        if known is not None and known.auth_token in tokens:
            auth.invalidate()
    return True
