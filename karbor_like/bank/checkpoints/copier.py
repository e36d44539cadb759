"""Copies one resource's part of a checkpoint into another bank, without interpreting it.

Every block is read, verified and stored again, with the keys and the codec of the target's bank. Zeros are not read.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from karbor_like.bank import errors
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.checkpoints.section_interface import Section


def copy(
    source: Section,
    target: Section,
    *,
    bases: Sequence[ResourceSection] = (),
    omit: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Mapping[str, StreamStats]:
    """Copy the documents and streams of *source* into *target*. Idempotent: a stream that is complete is not copied again.

    :param source: of a committed checkpoint
    :param target: opened for writing
    :param bases: sections of *target*'s bank to build on, the most similar first; the lease must name their checkpoints
    :param omit: names of documents that are not copied
    :param progress: called with the bytes done so far and the total
    :param check: called every few MiB; may raise to stop
    :returns: name of each stream -> its size in *target*'s bank
    :raises BankError: reading or writing failed; the message of a failure to read names *source*
    """
    with _naming(source):
        streams = {name: source.stats(name) for name in source.streams()}
        documents = {name: source.get(name) for name in source.documents() if name not in omit}
    for name, document in documents.items():
        target.put(name, document)
    total, done = sum(stats.logical for stats in streams.values()), 0
    for name, stats in streams.items():

        def moved(count: int, before: int = done) -> None:
            if progress:
                progress(before + count, total)

        moved(0)
        if not _holds(target, name, stats):
            with closing(_read(source, name, check)) as data:
                target.write(name, data, size=stats.logical, bases=bases, progress=moved, check=check)
        done += stats.logical
        moved(stats.logical)
    return {name: target.stats(name) for name in streams}


def _holds(target: Section, name: str, wanted: StreamStats) -> bool:
    """Whether an earlier attempt copied all of a stream.

    A checkpoint has one source, and a stream is found when all of it is stored. Digests of two banks cannot be compared,
    because their block hashes have other keys; only manifests of version 1 state the SHA-256 of the bytes.
    """
    try:
        held = target.stats(name)
    except errors.ObjectNotFound:
        return False
    if held.sha256 and wanted.sha256:
        return held.sha256 == wanted.sha256
    return held.logical == wanted.logical


def _read(source: Section, name: str, check: Callable[[], None] | None) -> Generator[memoryview]:
    with _naming(source), source.read(name, check=check) as reader:
        yield from reader


@contextmanager
def _naming(source: Section) -> Iterator[None]:
    """Name the source in errors of its bank, because a copy uses two banks."""
    try:
        yield
    except errors.BankError as error:
        raise type(error)(f"reading checkpoint {source.checkpoint_id}: {error.message}") from error
