"""Where archives are kept: a directory, or another host that a URL names.

The address of an archive is its location, a slash and its name. Passwords never are part of it: FTP and HTTP take them from
``~/.netrc`` or the file that ``NETRC`` names, rsync from ``RSYNC_PASSWORD``, ssh from its own keys, and object stores from
their file of options.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib import parse

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.control.targets.base import Target
from karbor_like.control.targets.directory import DirectoryTarget
from karbor_like.control.targets.ftp import FtpTarget
from karbor_like.control.targets.http import HttpTarget
from karbor_like.control.targets.rsync import RsyncTarget
from karbor_like.control.targets.store import StoreTarget

__all__ = ["Target", "open_target", "split"]

_SCHEMES: Final[Mapping[str, Callable[[str, float], Target]]] = {
    "ftp": FtpTarget,
    "ftps": FtpTarget,
    "http": HttpTarget,
    "https": HttpTarget,
    "rsync": RsyncTarget,
    "rsync+ssh": RsyncTarget,
}
#: Drivers of banks: the location is ``NAME:FILE``, with the sections of a provider's file.
_STORES: Final = ("s3", "swift")


def open_target(location: str, clock: Clock, timeout: float = 60.0) -> Target:
    """Return the target at *location*. Connects to nothing.

    :param timeout: seconds to wait for another host to answer
    :raises InvalidInput: *location* is not valid
    :raises ConfigurationError: the file of an object store is not valid
    """
    scheme, colon, rest = location.partition(":")
    if not colon or "/" in scheme:
        return DirectoryTarget(location)
    if scheme == "file" and rest.startswith("///"):
        return DirectoryTarget(rest.removeprefix("//"))
    if scheme in _STORES:
        return StoreTarget(location, scheme, rest, clock)
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}:" for name in (*_SCHEMES, *_STORES))
        raise exception.InvalidInput(
            f"{scheme!r} is no place for archives; expected a directory, or a URL that begins with {known}"
        )
    try:
        url = parse.urlsplit(location)
        secret = url.password is not None or url.query or url.fragment or (url.port is not None and not url.port)
    except ValueError:
        secret = True
    if secret or not location.isprintable():
        raise exception.InvalidInput(
            "the URL is not valid; expected scheme://[user@]host[:port]/path, without a password, which others could see"
        )
    return _SCHEMES[scheme](location, timeout)


def split(address: str) -> tuple[str, str]:
    """Return the location and the name of the archive at *address*."""
    location, slash, name = address.rpartition("/")
    return (location or "/" if slash else "."), name
