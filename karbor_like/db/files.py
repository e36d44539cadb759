"""Permissions of the files of an embedded database, which has the data of all tenants: only their owner reads them."""

import contextlib
import os
from pathlib import Path
from typing import Final

import sqlalchemy as sa

#: SQLite gives the files that it creates next to the database the permissions of the database.
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
_OTHERS: Final = 0o007


def make_private(connection: str | None) -> None:
    """Create the file of an SQLite database for its owner alone, and take the permissions of others from existing files.

    :param connection: URL of SQLAlchemy. Other databases, and files that cannot be changed, are left alone
    """
    url = sa.make_url(connection) if connection else None
    if url is None or url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":", "file:")):
        return
    # What is wrong with the file is reported when SQLite opens it. An existing file must not be opened here: closing it
    # would release all locks that this process has on it (https://sqlite.org/howtocorrupt.html#posix_close).
    with contextlib.suppress(OSError):
        os.close(os.open(url.database, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600))
    for suffix in _SUFFIXES:
        path = Path(url.database + suffix)
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode
            if mode & _OTHERS:
                path.chmod(mode & 0o777 & ~_OTHERS)
