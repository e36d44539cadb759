"""What the sandbox remembers: documents in SQLite, bytes in files, settings, and a lock on the directory.

Every service keeps its records as JSON documents of some kind; only the object store, whose listings may be long, has a
table of its own. One connection serves all threads under one lock: calls are short, bytes never pass through here.
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
    """The SQLite file. Survives a kill of the process; not an outage of the machine, which a sandbox need not."""

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
        """All that is read and written inside happens at once, or, when an exception leaves the block, not at all."""
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
        """Set *fields* of a document that exists. None, and nothing done, where it does not."""
        with self.transaction():
            document = self.get(kind, key)
            if document is not None:
                document.update(fields)
                self.put(kind, key, document)
            return document

    def delete(self, kind: str, key: str) -> None:
        self.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, oldest first."""
        rows = self.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        return [json.loads(body) for (body,) in rows]


@dataclass
class Settings:
    """What may be set while the sandbox runs; kept over a restart.

    :param token_lifetime: seconds that a new token is good for
    :param job_delay: seconds before the background part of an asynchronous call begins
    :param gib: bytes that a volume has per GiB of its size: few of them make tests quick. Images keep their size
    :param endpoints: service type to URL, for services that run elsewhere; ``%(project_id)s`` is filled in
    """

    token_lifetime: float = 3600.0
    job_delay: float = 0.05
    gib: int = 1 << 30
    endpoints: dict[str, str] = field(
        default_factory=lambda: {"data-protect": "http://127.0.0.1:8799/v1/%(project_id)s"}
    )

    @classmethod
    def load(cls, store: Store) -> "Settings":
        return cls(**(store.get("settings", "settings") or {}))

    def save(self, store: Store) -> None:
        store.put("settings", "settings", asdict(self))


class StateDirectory:
    """The directory and the lock that keeps a second sandbox out of it.

    :raises StateInUse: another process, or another sandbox of this one, runs on it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise errors.StateInUse(f"another sandbox runs on {path}: stop it or choose another directory") from None

    def folder(self, name: str) -> Path:
        """A folder for the bytes of one kind of thing, made when it is not there."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def close(self) -> None:
        os.close(self._lock)
