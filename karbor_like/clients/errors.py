"""Translation of the exceptions of client libraries into those of :mod:`karbor_like.exception`.

Each library has an exception hierarchy of its own for the same conditions, and lets the exceptions of keystoneauth,
requests and urllib3 through.
"""

import json
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients import messages
from karbor_like.conf.clients import SERVICES

#: Base classes that clients raise besides their own.
_COMMON: Final = (
    ("keystoneauth1.exceptions", "ClientException"),
    ("requests.exceptions", "RequestException"),
    ("urllib3.exceptions", "HTTPError"),
)

_BY_STATUS: Final[dict[int, type[exception.KarborLikeError]]] = {
    400: exception.ResourceFailed,
    401: exception.NotAuthorized,
    403: exception.NotAuthorized,
    404: exception.ResourceNotFound,
    408: exception.Unavailable,
    409: exception.Conflict,
    410: exception.ResourceNotFound,
    413: exception.OverQuota,
    429: exception.Unavailable,
    501: exception.Unsupported,
}


_SECONDS: Final = re.compile(r"\d{1,6}", re.ASCII)

#: The client libraries, by their top-level packages.
_LIBRARIES: Final = frozenset(
    {"keystoneauth1", *(module.partition(".")[0] for service in SERVICES.values() for module, _ in service.exceptions)}
)

#: Errors of a library that does not understand a response, such as a proxy's page.
_CONFUSED: Final = (AttributeError, LookupError, TypeError, ValueError)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate the exceptions of client calls in the block.

    :param what: the object or action, such as "volume X" or "creating the snapshot of volume X"; error messages begin
        with it, and continue with what the cloud said

    404 becomes ResourceNotFound; 400 ResourceFailed; 401 and 403 NotAuthorized; 409 Conflict; 413, and 409 of Neutron about a
    quota, OverQuota. 501, and a service that is missing from the catalogue, become Unsupported. 408, 429, 5xx, failed
    connections, and responses that the client library does not understand become Unavailable.
    """
    try:
        yield
    except _families() as error:
        raise _translate(what, error) from error
    except _CONFUSED as error:
        if not _is_of_library(error):
            raise
        raise _translate_confusion(what, error) from error


def _families() -> tuple[type[Exception], ...]:
    """Return the exceptions to translate. A module that is not imported cannot have raised any."""
    classes = [*_COMMON, *(pair for service in SERVICES.values() for pair in service.exceptions)]
    return tuple(getattr(sys.modules[module], name) for module, name in classes if module in sys.modules)


def _translate(what: str, error: Exception) -> exception.KarborLikeError:
    from keystoneauth1 import exceptions as ksa

    if isinstance(error, json.JSONDecodeError):
        return _translate_confusion(what, error)
    status = _status(error)
    message = f"{what}: {messages.describe(error, status, _response(error))}"
    if isinstance(error, ksa.CatalogException):
        return exception.Unsupported(message)
    if isinstance(error, ksa.AuthPluginException | ksa.AuthorizationFailure | ksa.MissingAuthMethods):
        return exception.ConfigurationError(message)
    wait = _wait(error)
    if status == 413 and wait:
        return _told(exception.Unavailable(message), wait)  # Cinder and Nova answer so to too many requests
    if status == 409 and _neutron_type(error) == "OverQuota":
        return exception.OverQuota(message)
    return _told(_of_status(status)(message), wait)


def _of_status(status: int | None) -> type[exception.KarborLikeError]:
    if status is None or status >= 500 and status != 501:
        return exception.Unavailable
    return _BY_STATUS.get(status, exception.ResourceFailed)


def _status(error: Exception) -> int | None:
    """Return the HTTP status of *error*, or None if the service did not answer."""
    for name in ("http_status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and value >= 100:
            return value
    # glanceclient reports some statuses only at the beginning of the text.
    match = re.match(r"(?:HTTP )?(\d{3})\b", str(getattr(error, "details", "")))
    return int(match[1]) if match else None


def _neutron_type(error: Exception) -> str | None:
    """Return the type of an error of Neutron, which has one status for quotas and for all other conflicts."""
    response = _response(error)
    try:
        return response.json()["NeutronError"]["type"] if response is not None else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _translate_confusion(what: str, error: Exception) -> exception.KarborLikeError:
    response = _response(error)
    if response is None or response.status_code < 400:
        return exception.Unavailable(f"{what}: the response cannot be understood: {messages.describe(error, None)}")
    status = response.status_code
    return _told(_of_status(status)(f"{what}: {messages.describe(error, status, response)}"), _wait(error))


def _told(translated: exception.KarborLikeError, wait: float) -> exception.KarborLikeError:
    if isinstance(translated, exception.Unavailable):
        translated.retry_after = wait
    return translated


def _wait(error: Exception) -> float:
    """Return the seconds after which the service wants to be asked again; 0: it did not say.

    A time of day in their place, which HTTP allows, is known only where a library has converted it.
    """
    headers = getattr(_response(error), "headers", None)
    given = (headers or {}).get("Retry-After") or getattr(error, "retry_after", 0)
    return float(str(given)) if _SECONDS.fullmatch(str(given)) else 0.0


def _is_of_library(error: Exception) -> bool:
    """Return whether a client library raised *error*, and not this project's own code."""
    for name, _ in reversed(_frames(error)):
        if name in _LIBRARIES:
            return True
        if name == __name__.partition(".")[0]:
            return False
    return False


def _response(error: Exception) -> Any:
    """Return the response to which a library raised *error*, or None. Libraries do not always keep it."""
    if getattr(error, "response", None) is not None:
        return error.response  # type: ignore[attr-defined]
    for name, frame in reversed(_frames(error)):
        for variable in ("response", "resp"):
            found = frame.f_locals.get(variable)
            if name in _LIBRARIES and isinstance(getattr(found, "status_code", None), int):
                return found
    return None


def _frames(error: Exception) -> list[tuple[str, FrameType]]:
    """Return the frames through which *error* passed, outside in, each with the top-level package of its code."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [(str(frame.f_globals.get("__name__")).partition(".")[0], frame) for frame in frames]
