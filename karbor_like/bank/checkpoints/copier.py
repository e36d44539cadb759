"""Copies one resource's part of a checkpoint into another bank: all that is in it, whatever it means.

Every block is read, checked and stored anew, with the keys and the codec of the bank that it comes to. Zeros are not read.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from karbor_like.bank import errors
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.checkpoints.section_interface import Section


def copy(
    source: Section,
    target: Section,
    *,
    bases: Sequence[ResourceSection] = (),
    progress: Callable[[int, int], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Mapping[str, StreamStats]:
    """Copy the documents and streams of *source* into *target*. May be done again: a stream that is there whole stays.

    :param source: of a committed checkpoint
    :param target: opened for writing
    :param bases: sections of *target*'s bank to store against, the most similar first; its lease must name their checkpoints
    :param progress: called with the bytes done so far, and in all
    :param check: called every few MiB; may raise to stop
    :returns: by name what each stream took in *target*'s bank

    Raises what reading and writing sections raises. What goes wrong with *source* says so, in the words of its bank.
    """
    with _of_the_source(source):
        streams = {name: source.stats(name) for name in source.streams()}
        documents = {name: source.get(name) for name in source.documents()}
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
    """Whether an earlier attempt got all of a stream across."""
    try:
        return target.stats(name).digest == wanted.digest
    except errors.ObjectNotFound:
        return False


def _read(source: Section, name: str, check: Callable[[], None] | None) -> Generator[memoryview]:
    with _of_the_source(source), source.read(name, check=check) as reader:
        yield from reader


@contextmanager
def _of_the_source(source: Section) -> Iterator[None]:
    """Two banks are at work: an error must say in which of them to look."""
    try:
        yield
    except errors.BankError as error:
        raise type(error)(f"reading checkpoint {source.checkpoint_id}: {error.message}") from error
