"""Persistent state: documents in SQLite, data in files, settings, and a lock on the directory.

Every service stores its records as JSON documents. Only the object store, whose listings may be long, has its own table. One
connection serves all threads under one lock: calls are short, and the data of volumes and objects never passes through it.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from karbor_like.sandbox import errors

Document = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS objects (
    account TEXT NOT NULL, container TEXT NOT NULL, name TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, content_type TEXT NOT NULL, modified REAL NOT NULL, headers TEXT NOT NULL,
    PRIMARY KEY (account, container, name)) WITHOUT ROWID;
"""


class Store:
    """The SQLite file. It survives a kill of the process, but not a crash of the machine, which a sandbox need not."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction, which is rolled back if an exception leaves the block."""
        with self._lock:
            if not self._depth:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if not self._depth:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if not self._depth:
                self._connection.execute("COMMIT")

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def get(self, kind: str, key: str) -> Document | None:
        rows = self.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key))
        return json.loads(rows[0][0]) if rows else None

    def put(self, kind: str, key: str, document: Document) -> None:
        self.execute(
            "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(document)),
        )

    def change(self, kind: str, key: str, **fields: Any) -> Document | None:
        """Set *fields* of a document.

        :returns: the document, or None if it does not exist
        """
        with self.transaction():
            document = self.get(kind, key)
            if document is not None:
                document.update(fields)
                self.put(kind, key, document)
            return document

    def delete(self, kind: str, key: str) -> None:
        self.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def all(self, kind: str) -> list[Document]:
        """List the documents of a kind, oldest first."""
        rows = self.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        return [json.loads(body) for (body,) in rows]


@dataclass
class Settings:
    """Settings that can be changed while the sandbox runs, and that persist.

    :param token_lifetime: lifetime of new tokens, in seconds
    :param job_delay: seconds before the background part of an asynchronous call starts
    :param gib: bytes of a volume per GiB of its nominal size; a small value makes tests fast. Images keep their size
    :param inspect_content: whether Glance inspects the content of images, and Cinder converts volumes that look like disk
        images, as it does if it stores them in files
    :param orchestration: whether the catalogue has Heat
    :param endpoints: service type -> URL of services outside the sandbox; ``%(project_id)s`` is replaced
    """

    token_lifetime: float = 3600.0
    job_delay: float = 0.05
    gib: int = 1 << 30
    inspect_content: bool = False
    orchestration: bool = True
    endpoints: dict[str, str] = field(
        default_factory=lambda: {"data-protect": "http://127.0.0.1:8799/v1/%(project_id)s"}
    )

    @classmethod
    def load(cls, store: Store) -> "Settings":
        return cls(**(store.get("settings", "settings") or {}))

    def save(self, store: Store) -> None:
        store.put("settings", "settings", asdict(self))


class StateDirectory:
    """The state directory, locked against a second sandbox.

    :raises StateInUse: another process, or another sandbox in this process, uses it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise errors.StateInUse(f"{path}: another sandbox uses it; stop it or choose another directory") from None

    def folder(self, name: str) -> Path:
        """Return the folder for the data of one kind of object, and create it if necessary."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def close(self) -> None:
        os.close(self._lock)
