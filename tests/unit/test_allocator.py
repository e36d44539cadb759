"""Memory that the C library keeps, in processes of their own, because the limits last; and what is exempt from collection."""

import gc
import json
import platform
import subprocess
import sys
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from karbor_like import allocator

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")

PROGRAM = """
import ctypes, json, os, sys, tempfile, threading

from karbor_like import allocator

allocator.limit(json.loads(sys.argv[1]))
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p


def report():
    with tempfile.NamedTemporaryFile("r") as file:
        stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        return file.read()


def mapped():
    return int(report().rpartition('<total type="mmap" count="')[2].partition('"')[0])


block = bytes(10 << 20)
del block
before = mapped()
block = bytes(9 << 20)
new = mapped() - before
barrier = threading.Barrier(8)


def use():
    barrier.wait()
    large = bytes(1 << 20)
    barrier.wait()


threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"mapped": new, "heaps": report().count("<heap nr=")}))
"""


def measured(environ: Mapping[str, str]) -> Any:
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(environ)], check=True, capture_output=True, text=True, timeout=60
    )
    return json.loads(made.stdout)


@glibc
def test_large_buffers_return_to_the_system_and_threads_share_heaps() -> None:
    found = measured({"PATH": "/usr/bin"})
    assert found["mapped"] == 1
    assert found["heaps"] <= 2


@glibc
def test_settings_of_the_environment_count() -> None:
    assert measured({"MALLOC_ARENA_MAX": "7"})["mapped"] == 0


class Circle:
    def __init__(self) -> None:
        self.itself = self


def test_what_exists_is_exempt_from_collection() -> None:
    earlier = Circle()
    try:
        allocator.freeze()
        later = Circle()
        exempt, collected = weakref.ref(earlier), weakref.ref(later)
        del earlier, later
        gc.collect()
        assert exempt() is not None
        assert collected() is None
    finally:
        gc.unfreeze()
    gc.collect()
    assert exempt() is None
