"""Writes whose answers come late, or after that to a later request: what a real cluster does not do on demand."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd.librbd import REQUESTS_AT_ONCE, LibrbdData

NO_SPACE = -28


class Image:
    """In place of an image of the bindings: the test answers."""

    def __init__(self) -> None:
        self.answers: list[Callable[[Any], None]] = []
        self.written: list[tuple[int, bytes]] = []
        self.flushes = 0

    def aio_write(self, data: bytes, offset: int, answer: Callable[[Any], None]) -> None:
        self.written.append((offset, data))
        self.answers.append(answer)

    def aio_flush(self, answer: Callable[[Any], None]) -> None:
        self.flushes += 1
        answer(completion(0))


def completion(value: int) -> SimpleNamespace:
    return SimpleNamespace(get_return_value=lambda: value)


@pytest.fixture
def image() -> Image:
    return Image()


@pytest.fixture
def data(image: Image) -> LibrbdData:
    location = RbdImage(Path("/etc/ceph/ceph.conf"), "writer", "volumes", "v")
    cluster: Any = SimpleNamespace(timeout=60.0, location=location, rbd=SimpleNamespace(Error=OSError))
    return LibrbdData(cluster, image, errors.TargetFailed)


def test_a_write_does_not_wait_for_its_answer(data: LibrbdData, image: Image) -> None:
    buffer = bytearray(b"abc")
    data.write(5, memoryview(buffer))
    buffer[:] = b"???"
    data.write(8, memoryview(b"def"))
    assert image.written == [(5, b"abc"), (8, b"def")]
    for answer in image.answers:
        answer(completion(0))
    data.flush()
    data.close()


def test_one_write_too_many_waits(data: LibrbdData, image: Image) -> None:
    for number in range(REQUESTS_AT_ONCE):
        data.write(number, memoryview(b"x"))
    thread = threading.Thread(target=data.write, args=(100, memoryview(b"y")))
    thread.start()
    assert len(image.written) == REQUESTS_AT_ONCE
    image.answers[3](completion(0))
    thread.join(60)
    assert image.written[-1] == (100, b"y")
    data.close()


def test_a_failed_write_is_the_error_of_what_follows(data: LibrbdData, image: Image) -> None:
    data.write(0, memoryview(b"x"))
    data.write(1, memoryview(b"y"))
    image.answers[0](completion(NO_SPACE))
    for call in (lambda: data.write(2, memoryview(b"z")), data.flush):
        with pytest.raises(errors.TargetFailed, match="volumes is full"):
            call()
    image.answers[1](completion(0))
    assert len(image.written) == 2
    assert not image.flushes
    data.close()


def test_a_flush_waits_for_all_answers(data: LibrbdData, image: Image) -> None:
    data.write(0, memoryview(b"x"))
    failed: list[BaseException] = []

    def flush() -> None:
        try:
            data.flush()
        except errors.TargetFailed as error:
            failed.append(error)

    thread = threading.Thread(target=flush)
    thread.start()
    image.answers[0](completion(NO_SPACE))
    thread.join(60)
    assert failed
    assert not image.flushes
    data.close()


def test_the_copy_lives_until_the_answer(data: LibrbdData, image: Image) -> None:
    data.write(0, memoryview(b"x" * 1000))
    _, copy = image.written.pop()
    # The bindings keep the answer, and some versions of librbd use the bytes until then.
    answer = image.answers.pop()
    assert isinstance(answer, partial)
    assert any(held is copy for held in answer.args)
    data.close()
