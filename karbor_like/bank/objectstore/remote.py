"""The common part of stores that keep their objects in one container of a service, over HTTP."""

import contextlib
import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final, TypeVar

from oslo_config import cfg

from karbor_like import deadline
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base

T = TypeVar("T")

# HTTP statuses.
# 405: Swift's middleware "read_only", and gateways that only serve reads.
DENIED: Final = frozenset({401, 403, 405})
FULL: Final = frozenset({413, 507})
# 409: a newer version exists, by a clock that differs; 422: the body did not arrive as it was sent; 499: disconnected.
TRANSIENT: Final = frozenset({408, 409, 412, 422, 429, 498, 499})
PAST_THE_END: Final = 416

#: What clients, and the readers of their responses, raise if a response has another shape: they check none.
_NONSENSE: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


class PastTheEndError(errors.BankError):
    """The range begins after the last byte of the object."""


def request_options(prefix: str, service: str) -> Sequence[cfg.Opt]:
    """Return the options for requests: their timeout, and those that :meth:`RemoteStore.retry_policy` reads.

    :param prefix: of their names
    :param service: its name, for the help
    """
    return [
        cfg.FloatOpt(
            f"{prefix}_timeout",
            default=60.0,
            min=0.1,
            help=f"Seconds to wait for a connection to {service}, and for the next bytes of a response.",
        ),
        cfg.IntOpt(
            f"{prefix}_retry_attempts",
            default=base.RetryPolicy.attempts,
            min=1,
            help=f"Maximum number of attempts of a request that {service} does not answer or answers with a transient error.",
        ),
        cfg.FloatOpt(
            f"{prefix}_retry_backoff",
            default=base.RetryPolicy.backoff,
            min=0,
            help="Seconds before the second attempt. Doubled before each further attempt.",
        ),
    ]


def md5(buffers: Sequence[base.Buffer]) -> "hashlib._Hash":
    """Hash *buffers*, so that the service can detect bytes that were altered on the way."""
    digest = hashlib.md5(usedforsecurity=False)
    for buffer in buffers:
        digest.update(buffer)
    return digest


class RemoteStore(base.ObjectStore):
    """One container of a service. The first put creates it.

    A container that existed before and no longer does is an error: it is not treated as empty, and is not recreated. A
    driver sets ``_seen`` after each successful request to the container.

    :param container: its name
    :param timeout: seconds to wait for the next bytes of a response; a whole request may take ten times as long
    """

    #: The group with the options of :func:`request_options`, and their prefix.
    client_group: ClassVar[str]
    option_prefix: ClassVar[str]
    #: The service's word for a container.
    container_noun: ClassVar[str]
    #: The most names in one listing of the service.
    max_listing: ClassVar[int]

    def __init__(self, container: str, timeout: float) -> None:
        self._container = container
        self._total = deadline.TOTAL * timeout
        self._seen = False

    @classmethod
    def retry_policy(cls, conf: cfg.ConfigOpts) -> base.RetryPolicy:
        group = conf[cls.client_group]
        return base.RetryPolicy(
            group[f"{cls.option_prefix}_retry_attempts"], group[f"{cls.option_prefix}_retry_backoff"]
        )

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        layout.check_key(key)
        buffers = base.pieces(data)
        seen = self._seen
        try:
            self._put(key, buffers)
        except errors.ObjectNotFound:  # the container, as a put needs no object
            self._refuse_if_seen(key, seen)
            try:
                self._create_container(key)
                self._put(key, buffers)
            except errors.ObjectNotFound as error:
                raise errors.ConnectionFailed(
                    f"{self._name(key)}: the {self.container_noun} could not be created"
                ) from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        base.check_range(start, length)
        layout.check_key(key)
        if length == 0:
            self.stat(key)  # HTTP has no empty range
            return b""
        try:
            return self._get(key, start, length)
        except PastTheEndError:
            return b""

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        base.check_range(start, len(target))
        layout.check_key(key)
        if not target:
            return super().get_into(key, start, target)
        try:
            return self._get_into(key, start, target)
        except PastTheEndError:
            return 0

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        base.check_prefix(prefix)
        infos: list[base.ObjectInfo] = []
        position: str | None = None
        while len(infos) < limit:
            seen = self._seen
            try:
                page, position = self._list_page(prefix, marker, position, min(limit - len(infos), self.max_listing))
            except errors.ObjectNotFound:
                self._refuse_if_seen(prefix, seen)
                break
            infos += (info for info in page if base.is_key(info.key))
            if position is None:
                break
        return infos

    @abstractmethod
    def _put(self, key: str, buffers: Sequence[base.Buffer]) -> None:
        """Store an object. Raises ObjectNotFound if the container does not exist."""

    @abstractmethod
    def _get(self, key: str, start: int, length: int | None) -> bytes:
        """Read an object, or a range that is not empty. Raises PastTheEndError."""

    def _get_into(self, key: str, start: int, target: memoryview) -> int:
        """Read a range that is not empty into *target*. Raises PastTheEndError."""
        return super().get_into(key, start, target)

    @abstractmethod
    def _list_page(
        self, prefix: str, marker: str, position: str | None, limit: int
    ) -> tuple[Sequence[base.ObjectInfo], str | None]:
        """List one page, of names that need not be keys. Raises ObjectNotFound if the container does not exist.

        :param marker: of the whole listing
        :param position: where the page begins; None for the first page
        :returns: the page, and the position of the next one, or None if there is no next one
        """

    @abstractmethod
    def _create_container(self, key: str) -> None:
        """Create the container for the sake of *key*. Idempotent."""

    def _in_time(self, key: str, request: Callable[[], T]) -> T:
        """Run *request*, which may wait for the service.

        :raises TimeoutError: it has not ended in time, however many bytes arrived
        """
        return deadline.within(self._total, self._name(key), request)

    @contextlib.contextmanager
    def _understanding(self, key: str) -> Iterator[None]:
        """Read a response within the block.

        :raises ConnectionFailed: a member is missing or nonsense. The response may be that of a proxy in between
        """
        try:
            yield
        except _NONSENSE as error:
            raise errors.ConnectionFailed(
                f"{self._name(key)}: the response is not understood: {type(error).__name__}: {error}"
            ) from error

    def _name(self, key: str) -> str:
        return f"{self.container_noun} {self._container}: {key}"

    def _refuse_if_seen(self, key: str, seen: bool) -> None:
        """Raise ConnectionFailed if the missing container existed before.

        :param seen: whether it had when the request was sent; another thread may have created it since
        """
        if seen:
            raise errors.ConnectionFailed(
                f"{self._name(key)}: the {self.container_noun} existed before and does not exist any more"
            )


def range_header(start: int, length: int | None) -> str | None:
    """Return the value of the Range header for a range that is not empty. None for the whole object."""
    if not start and length is None:
        return None
    return f"bytes={start}-{'' if length is None else start + length - 1}"
