"""The border around parsers of other projects, which get text from tenants.

Few of them document which errors they raise, and new versions raise others.
"""

import contextlib
import logging
from collections.abc import Iterator

from karbor_like import exception

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Refuse what the block cannot parse, whichever error it raises. The log has the reason.

    :param what: path of the value in the request, for the message, which does not repeat the value
    :raises InvalidInput: the block raised an error from outside of the error tree
    """
    try:
        yield
    except (exception.KarborLikeError, MemoryError):
        raise
    except Exception as error:
        LOG.exception("%s was refused, because it could not be parsed", what)
        raise exception.InvalidInput(
            f"{what}: cannot be interpreted ({type(error).__name__}); write it in another way"
        ) from error
