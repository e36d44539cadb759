"""Requests to the API: one client for each request of the browser, and errors as one class with a text for the reader."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import requests
from django.conf import settings
from django.utils.translation import gettext as _
from horizon import exceptions as horizon_exceptions
from horizon.utils import functions, memoized
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import session as keystone_session
from keystoneauth1 import token_endpoint
from openstack import connection
from openstack import exceptions as sdk_exceptions
from openstack_dashboard.api import base

from karbor_like_client import errors
from karbor_like_client.v1.proxy import Proxy
from karbor_like_dashboard.exceptions import Failure

SERVICE = "data-protect"

#: Seconds after which a page stops waiting for an answer of the API; the setting ``KARBOR_LIKE_TIMEOUT`` overrides it.
TIMEOUT = 20

#: How often a request is repeated if it is safe to do so. A page is not delayed for long: the user can reload it.
RETRIES = 1

#: The order of lists.
NEWEST_FIRST = "created_at:desc"

#: Objects that a page asks for at most where it shows no pages, for example the resources of one type in a form.
MOST = 500


class Client(Proxy):
    """The client, with errors that Horizon shows as messages.

    Horizon regards all HTTP errors of openstacksdk as a lost session, and would log the user out.
    """

    #: What all further requests raise, because there was no answer.
    _failure: Failure | None = None

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request.

        :raises Failure: the API refused it, or did not answer
        :raises horizon.exceptions.NotAuthenticated: the session has expired; Horizon asks the user to log in
        """
        if self._failure is not None:
            # The page does not wait for each of its requests.
            raise self._failure
        try:
            response = super().request(url, method, *args, **kwargs)
        except errors.ApiError as error:
            if error.status_code == 401:
                raise horizon_exceptions.NotAuthenticated(_("Your session has expired.")) from error
            raise Failure(str(error), type=error.type, status=error.status_code, fields=error.fields) from error
        except (keystone_exceptions.ClientException, requests.RequestException, sdk_exceptions.SDKException) as error:
            self._failure = Failure(_("The data protection service does not answer. Try again later."))
            raise self._failure from error
        _check_object(response)
        return response


def _check_object(response: requests.Response) -> None:
    """Refuse an answer that another service gave, for example a proxy: all content of the API has a member."""
    if not response.content:
        return
    try:
        content = response.json()
    except ValueError:
        content = None
    is_known = isinstance(content, dict) and (bool(content) or response.request.method != "GET")
    if not is_known:
        raise Failure(_("What answers at the address of the data protection service is another service."))


def session(request: Any, url: str, *, timeout: float) -> keystone_session.Session:
    """Return a session that acts as the user of a request of the browser.

    :param url: of the service
    :param timeout: seconds after which it stops waiting for an answer
    """
    return keystone_session.Session(
        auth=token_endpoint.Token(endpoint=url, token=request.user.token.id),
        verify=False if settings.OPENSTACK_SSL_NO_VERIFY else settings.OPENSTACK_SSL_CACERT or True,
        timeout=timeout,
    )


@memoized.memoized
def client(request: Any) -> Client:
    """Return the client that acts as the user of a request of the browser.

    :raises Failure: the catalogue lacks the service
    """
    try:
        url = base.url_for(request, SERVICE)
    except horizon_exceptions.ServiceCatalogException as error:
        raise Failure(_("The data protection service is not in the catalogue of this cloud.")) from error
    made = connection.Connection(
        session=session(request, url, timeout=getattr(settings, "KARBOR_LIKE_TIMEOUT", TIMEOUT)),
        app_name="karbor_like_dashboard",
    )
    proxy: Client = made.config.get_session_client(SERVICE, constructor=Client)
    proxy._connection = made
    # The endpoint in the catalogue contains the project: no version is discovered.
    proxy.version = proxy.min_version = proxy.max_version = None
    proxy.connect_retries = proxy.status_code_retries = RETRIES
    return proxy


@contextmanager
def reporting(request: Any, message: Any, redirect: str | None = None) -> Iterator[None]:
    """Show a failure of the API as a message on the page.

    :param message: what could not be done, as a sentence without full stop
    :param redirect: where to go then
    """
    try:
        yield
    except Failure as error:
        text = _("%(what)s: %(why)s") % {"what": message, "why": error}
        # Horizon would hide details behind a link.
        horizon_exceptions.handle(request, text, redirect=redirect, details="")


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Any]
    has_next: bool = False
    has_previous: bool = False


def page(request: Any, fetch: Callable[..., Iterable[Any]], **query: Any) -> Page:
    """Return the page of a list that a request of the browser asks for, newest first, with one request to the API.

    :param fetch: a method of the client, such as ``plans``
    :param query: its filters
    """
    size = functions.get_page_size(request)
    backwards = request.GET.get("prev_marker")
    marker = backwards or request.GET.get("marker")
    if marker:
        query["marker"] = marker
    order = "created_at:asc" if backwards else NEWEST_FIRST
    found = list(islice(fetch(paginated=False, limit=size + 1, sort=order, **query), size + 1))
    more = len(found) > size
    items = found[:size]
    if backwards:
        return Page(items[::-1], has_next=True, has_previous=more)
    return Page(items, has_next=more, has_previous=bool(marker))


def some(fetch: Callable[..., Iterable[Any]], *args: Any, **query: Any) -> list[Any]:
    """Return up to :data:`MOST` objects of a list, with one request to the API."""
    return list(fetch(*args, paginated=False, limit=MOST, **query))


@memoized.memoized
def providers(request: Any) -> list[Any]:
    """Return all providers, by name."""
    return sorted(some(client(request).providers), key=lambda provider: (str(provider.name), provider.id))


def provider_names(request: Any) -> dict[str, str]:
    """Return the names of all providers by id."""
    return {provider.id: provider.name for provider in providers(request)}
