"""HTTP with a limit for a whole request, which the library lacks: its timeout is for each read."""

from typing import Any
from urllib import parse

import requests
from keystoneauth1 import session as ksa_session

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
