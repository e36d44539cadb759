"""A bank in a directory that kills its process when a planned fault says so."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from karbor_like.bank.objectstore.filesystem import FilesystemStore
from tests.functional.protection import plugins
from tests.functional.protection.plugins import Cloud


class DeadlyStore(FilesystemStore):
    """Dies once per fault such as ``{"store:before put <pattern>": "exit"}``; also ``after``, and ``delete``."""

    def put(self, key: str, data: bytes | bytearray | memoryview | Sequence[bytes | memoryview]) -> None:
        meet(f"before put {key}")
        super().put(key, data)
        meet(f"after put {key}")

    def delete(self, key: str) -> None:
        meet(f"before delete {key}")
        super().delete(key)
        meet(f"after delete {key}")


def meet(what: str) -> None:
    """Die if a fault is planned for *what*, such as ``before put <key>``."""
    cloud = Cloud()
    path = cloud.path / "faults.json"
    faults: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for where in faults:
        kind, _, pattern = where.partition(":")
        marker = cloud.path / f"met {re.sub('[^a-z]', '', where)}"
        if kind == "store" and re.search(pattern, what) and not marker.exists():
            marker.touch()
            plugins.die()


def intercept(store: Any, before: Callable[[str], None], after: Callable[[str], None] = lambda request: None) -> None:
    """Call *before* and *after* each request of *store*, with ``put <key>`` or ``delete <key>``; they may raise."""

    def wrap(name: str, real: Callable[..., None]) -> None:
        def call(key: str, *rest: Any) -> None:
            before(f"{name} {key}")
            real(key, *rest)
            after(f"{name} {key}")

        setattr(store, name, call)

    wrap("put", store.put)
    wrap("delete", store.delete)
