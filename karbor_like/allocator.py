"""How a process that moves data manages its memory: what the C library keeps, and what the garbage collector leaves alone."""

import ctypes
import gc
import logging
import os
from collections.abc import Mapping
from typing import Final

LOG = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024
#: Parameters of mallopt(3) in glibc, and their values.
#: M_ARENA_MAX: all threads share two heaps. By default there are eight for each processor, and each keeps the most that its
#: threads ever needed.
#: M_MMAP_THRESHOLD: what is larger returns to the system when it is freed. By default, glibc raises this limit up to 32 MiB.
#: What is smaller, such as the buffers of storage libraries (2 MiB), is used again: new memory must be cleared each time.
#: M_TRIM_THRESHOLD: what is free at the end of a heap beyond this returns to the system.
_SETTINGS: Final = {"M_ARENA_MAX": (-8, 2), "M_MMAP_THRESHOLD": (-3, 4 * _MIB), "M_TRIM_THRESHOLD": (-1, 16 * _MIB)}


def limit(environ: Mapping[str, str] = os.environ) -> None:
    """Limit what the C library keeps, in a process that moves data with many threads. To be called before they start.

    Without effect if *environ* has settings for it (``MALLOC_ARENA_MAX`` and the like, ``GLIBC_TUNABLES``), or if the C
    library is not glibc.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, (parameter, value) in _SETTINGS.items():
        if not mallopt(parameter, value):
            LOG.warning("mallopt: cannot set %s to %d; this process may keep more memory than it needs", name, value)


def freeze() -> None:
    """Exempt what exists from garbage collection: code and configuration, which last as long as the process.

    No thread of the process runs during a collection, which takes about 0.1 s if it includes them. To be called when the
    process has loaded what it needs.
    """
    gc.freeze()
