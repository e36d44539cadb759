"""Where archives are kept: a directory, or another host that a URL names.

A location is a directory, ``file:///DIR``, ``rsync://``, ``rsync+ssh://``, ``ftp://``, ``ftps://``, ``http://``, ``https://``,
or ``swift:FILE`` and ``s3:FILE`` with a file of options. The address of an archive is its location, a slash and its name.
"""

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.control.targets.base import Target
from karbor_like.control.targets.directory import DirectoryTarget

__all__ = ["Target", "open_target", "split"]


def open_target(location: str, clock: Clock, timeout: float = 60.0) -> Target:
    """Return the target at *location*. Connects to nothing.

    :param timeout: seconds to wait for another host
    :raises InvalidInput: *location* is not valid
    """
    scheme, colon, rest = location.partition(":")
    if not colon or "/" in scheme:
        return DirectoryTarget(location)
    if scheme == "file" and rest.startswith("///"):
        return DirectoryTarget(rest.removeprefix("//"))
    raise exception.InvalidInput(
        f"{location!r} is no location of archives; expected a directory or a URL with the scheme file"
    )


def split(address: str) -> tuple[str, str]:
    """Return the location and the name of the archive at *address*."""
    location, slash, name = address.rpartition("/")
    return (location or "/" if slash else "."), name
