"""Ceph's Python bindings, which exist only for the Python of the distribution: python3-rados and python3-rbd."""

import importlib
from typing import Any, NamedTuple


class Bindings(NamedTuple):
    """The two modules."""

    rados: Any
    rbd: Any


def load() -> Bindings | None:
    """Return the bindings, or None if this Python does not have them."""
    try:
        return Bindings(importlib.import_module("rados"), importlib.import_module("rbd"))
    except ImportError:
        return None
