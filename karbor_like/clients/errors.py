"""Translation of the exceptions of client libraries into those of :mod:`karbor_like.exception`.

Each library has an exception hierarchy of its own for the same conditions, and lets the exceptions of keystoneauth,
requests and urllib3 through.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from karbor_like import exception
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
    409: exception.Conflict,
    410: exception.ResourceNotFound,
    413: exception.OverQuota,
    429: exception.Unavailable,
    501: exception.Unsupported,
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate the exceptions of client calls in the block.

    :param what: the object or action, such as "volume X" or "creating the snapshot of volume X"; error messages begin
        with it

    404 becomes ResourceNotFound; 400 ResourceFailed; 401 and 403 NotAuthorized; 409 Conflict; 413 OverQuota. 501, and a
    service that is missing from the catalogue, become Unsupported. 429, 5xx and failed connections become Unavailable.
    """
    try:
        yield
    except _families() as error:
        raise _translate(what, error) from error


def _families() -> tuple[type[Exception], ...]:
    """Return the exceptions to translate. A module that is not imported cannot have raised any."""
    classes = [*_COMMON, *(pair for service in SERVICES.values() for pair in service.exceptions)]
    return tuple(getattr(sys.modules[module], name) for module, name in classes if module in sys.modules)


def _translate(what: str, error: Exception) -> exception.KarborLikeError:
    from keystoneauth1 import exceptions as ksa

    message = f"{what}: {_text(error)}"
    if isinstance(error, ksa.CatalogException):
        return exception.Unsupported(message)
    if isinstance(error, ksa.AuthPluginException | ksa.AuthorizationFailure | ksa.MissingAuthMethods):
        return exception.ConfigurationError(message)
    status = _status(error)
    if status is None or status >= 500 and status != 501:
        return exception.Unavailable(message)
    if status == 413 and getattr(error, "retry_after", None):
        return exception.Unavailable(message)  # Cinder and Nova answer so to too many requests
    return _BY_STATUS.get(status, exception.ResourceFailed)(message)


def _status(error: Exception) -> int | None:
    """Return the HTTP status of *error*, or None if the service did not answer."""
    for name in ("http_status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and value >= 100:
            return value
    # glanceclient reports some statuses only at the beginning of the text.
    match = re.match(r"(?:HTTP )?(\d{3})\b", str(getattr(error, "details", "")))
    return int(match[1]) if match else None


def _text(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:1000] or type(error).__name__
