"""The interface of a resource's section, for implementations that open it lazily."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from karbor_like.bank.blocks.extents import Extent, ExtentSource
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.blocks.restore import ExtentTarget
from karbor_like.bank.checkpoints.section import Level, ResourceSection, StreamStats


class Section(Protocol):
    """The documents and streams of one resource in one checkpoint: see :class:`.section.ResourceSection`."""

    @property
    def checkpoint_id(self) -> str: ...

    @property
    def is_encrypted(self) -> bool: ...

    def put(self, name: str, value: Mapping[str, Any]) -> None: ...

    def get(self, name: str) -> dict[str, Any]: ...

    def names(self) -> Sequence[str]: ...

    def documents(self) -> Sequence[str]: ...

    def streams(self) -> Sequence[str]: ...

    def write(
        self,
        name: str,
        stream: Iterable[bytes | memoryview],
        *,
        size: int | None = None,
        bases: Sequence[ResourceSection] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats: ...

    def write_extents(
        self,
        name: str,
        source: ExtentSource,
        *,
        base: ResourceSection | None = None,
        changed: Iterable[Extent] | None = None,
        bases: Sequence[ResourceSection] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats: ...

    def read(self, name: str, *, check: Callable[[], None] | None = None) -> StreamReader: ...

    def restore(
        self,
        name: str,
        target: ExtentTarget,
        *,
        empty: bool = False,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None: ...

    def stats(self, name: str) -> StreamStats: ...

    def verify(
        self,
        name: str,
        level: Level,
        *,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None: ...

    def delete(self) -> None: ...
