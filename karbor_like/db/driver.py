"""Whether the URL of the database can be used here: its driver is an optional package, which an extra installs."""

from typing import Final

import sqlalchemy as sa

from karbor_like import exception

_OPTION: Final = "[database] connection"
#: Kind of database -> the beginning of URLs whose driver is in the extra with the name of the kind.
_DRIVERS: Final = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}
_KINDS: Final = {**{kind: kind for kind in _DRIVERS}, "mariadb": "mysql"}


def check(connection: str) -> None:
    """Check that *connection* is the URL of a database whose driver is installed. Does not connect.

    :param connection: URL of SQLAlchemy, whose password no message repeats
    :raises ConfigurationError: it is not
    """
    try:
        url = sa.make_url(connection)
    except (sa.exc.ArgumentError, ValueError):
        # The message may contain a part of a password, and so may its traceback.
        raise exception.ConfigurationError(
            f"{_OPTION}: not the URL of a database; in passwords, write '@' as %40, ':' as %3A and '/' as %2F"
        ) from None
    try:
        url.get_dialect().import_dbapi()
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise exception.ConfigurationError(
            f"{_OPTION}: the driver of {url.drivername!r} cannot be loaded: {error}; {_advice(url)}"
        ) from error


def _advice(url: sa.URL) -> str:
    kind = _KINDS.get(url.get_backend_name())
    if kind is None:
        return "expected sqlite, mysql or postgresql"
    install = f"pip install karbor_like[{kind}]"
    if url.drivername == _DRIVERS[kind]:
        return install
    return f"begin the URL with {_DRIVERS[kind]}:// and install its driver: {install}"
