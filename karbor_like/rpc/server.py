"""Server side of RPC: what the endpoints of the services have in common."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import oslo_messaging
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.clock import SystemClock
from karbor_like.context import RequestContext
from karbor_like.db import session as db_session
from karbor_like.metrics import families

LOG = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])
_CLOCK = SystemClock()


def rpc_method(method: F) -> F:
    """Make a method of an endpoint answer RPC calls.

    The project's errors are sent as classes of ``exception.py`` and logged in one line. So is DatabaseUnavailable if the
    database is unavailable. Any other error is a bug: it is logged with its traceback, and the caller gets
    ``oslo_messaging.RemoteError``.

    A call that arrives after its caller has given up is refused. The caller treats it as failed, and may have repeated it.
    The clocks of the hosts must therefore be synchronized.
    """

    @functools.wraps(method)
    def wrapper(self: Any, context: RequestContext, **arguments: Any) -> Any:
        # oslo.log takes the request id and the project of each line from here.
        context.update_store()
        try:
            _refuse_late(context)
            with _database_errors():
                return method(self, context, **arguments)
        except exception.KarborLikeError as error:
            families.count_rpc_error("server", method.__name__, error)
            LOG.info("%s is refused: %s", method.__name__, error.message)
            try:
                raise exception.kind_of(error)(exception.public_text(error)) from error
            except exception.KarborLikeError:
                raise oslo_messaging.ExpectedException from None
        except Exception as error:
            families.count_rpc_error("server", method.__name__, error)
            raise

    return wrapper  # type: ignore[return-value]


def _refuse_late(context: RequestContext) -> None:
    """Raise Timeout if the caller does not wait any more."""
    if context.deadline is not None and (late := (_CLOCK.now() - context.deadline).total_seconds()) > 0:
        raise exception.Timeout(
            f"the call arrived {late:.1f} seconds after its caller gave up; if that happens always, synchronize the clocks"
            " of the hosts"
        )


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailable if the database is unavailable."""
    try:
        yield
    except db_exception.DBError as error:
        unavailable = db_session.unavailable(error)
        if unavailable is None:
            raise
        LOG.warning("the database is not available: %s", error)
        raise unavailable from None
