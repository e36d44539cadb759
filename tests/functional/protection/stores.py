"""A bank that kills its process, for tests: a directory like any other until the script says otherwise."""

import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from karbor_like.bank.objectstore.filesystem import FilesystemStore
from tests.functional.protection.plugins import Cloud


class DeadlyStore(FilesystemStore):
    """``faults.json`` may hold ``{"store:before put <pattern>": "exit"}``; also ``after``, and ``delete``. Each once."""

    def put(self, key: str, data: bytes | bytearray | memoryview | Sequence[bytes | memoryview]) -> None:
        self._meet(f"before put {key}")
        super().put(key, data)
        self._meet(f"after put {key}")

    def delete(self, key: str) -> None:
        self._meet(f"before delete {key}")
        super().delete(key)
        self._meet(f"after delete {key}")

    def _meet(self, what: str) -> None:
        cloud = Cloud()
        path = cloud.path / "faults.json"
        faults: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        for where in faults:
            kind, _, pattern = where.partition(":")
            marker = cloud.path / f"met {re.sub('[^a-z]', '', where)}"
            if kind == "store" and re.search(pattern, what) and not marker.exists():
                marker.touch()
                os._exit(9)


def intercept(store: Any, before: Callable[[str], None]) -> None:
    """Call *before* with ``put <key>`` or ``delete <key>`` whenever *store* is about to do that; it may raise."""

    def wrap(name: str, real: Callable[..., None]) -> None:
        def call(key: str, *rest: Any) -> None:
            before(f"{name} {key}")
            real(key, *rest)

        setattr(store, name, call)

    wrap("put", store.put)
    wrap("delete", store.delete)
