"""What SDKs raise, in the words of :mod:`karbor_like.exception`.

Every SDK has a family of its own for the same few things, and raises keystoneauth's, requests' and urllib3's beside it.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from karbor_like import exception

#: Roots of what SDKs raise. One whose module is not imported cannot have raised anything.
_ROOTS: Final = (
    ("keystoneauth1.exceptions", "ClientException"),
    ("cinderclient.exceptions", "ClientException"),
    ("glanceclient.exc", "BaseException"),
    ("glanceclient.exc", "ClientException"),
    ("novaclient.exceptions", "ClientException"),
    ("heatclient.exc", "BaseException"),
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
    """Run calls of an SDK, and raise what they raise as an error of ours.

    :param what: what is asked or done, as it reads before a colon, such as "volume X" or "creating the snapshot of volume X"

    404 becomes ResourceNotFound; 400 ResourceFailed; 401 and 403 NotAuthorized; 409 Conflict; 413 OverQuota; a service
    that is not in the catalogue, and 501, Unsupported; 429, 5xx and a connection that fails Unavailable.
    """
    try:
        yield
    except _families() as error:
        raise _translate(what, error) from error


def _families() -> tuple[type[Exception], ...]:
    return tuple(getattr(sys.modules[module], name) for module, name in _ROOTS if module in sys.modules)


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
        return exception.Unavailable(message)  # Cinder's and Nova's word for "too many requests"
    return _BY_STATUS.get(status, exception.ResourceFailed)(message)


def _status(error: Exception) -> int | None:
    """The HTTP status in *error*; None where there was no answer."""
    for name in ("http_status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and value >= 100:
            return value
    # glanceclient knows some statuses only as the beginning of its text.
    found = re.match(r"(?:HTTP )?(\d{3})\b", str(getattr(error, "details", "")))
    return int(found[1]) if found else None


def _text(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:1000] or type(error).__name__
