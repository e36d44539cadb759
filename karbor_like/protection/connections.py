"""The connections of this process, at its end."""

import contextlib
import os
import socket
import stat
from typing import Final

#: Where the kernel lists the open files of this process.
_FILES: Final = "/proc/self/fd"


def shut_down() -> int:
    """Shut down all TCP connections of this process, so that every thread that waits for a peer gets an error at once.

    The libraries that transfer data have no way to interrupt a read from a peer that is silent. Closing a file in another
    thread does not interrupt it either. Connections that are needed afterwards, such as one to the database, are made again.

    :returns: their number
    """
    count = 0
    for name in os.listdir(_FILES):
        # A file may be closed meanwhile, and a socket that listens has no peer.
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    connection.getpeername()
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    return count
