"""Accounts, containers and objects: a table of names, and files with the data."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, files, state

COLUMNS = "name, file, size, etag, content_type, modified, headers"


@dataclass(frozen=True)
class StoredObject:
    """A row of the table of objects.

    :param modified: seconds since the epoch
    :param headers: headers set by the client
    """

    name: str
    file: str
    size: int
    etag: str
    content_type: str
    modified: float
    headers: dict[str, str]


@dataclass(frozen=True)
class Selection:
    """Selection of names for a listing."""

    prefix: str = ""
    marker: str = ""
    end_marker: str = ""
    delimiter: str = ""
    limit: int = 10_000


class Objects:
    """The containers and objects of all accounts."""

    def __init__(self, store: state.Store, folder: Path, clock: clocks.Clock) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock

    def recover(self) -> None:
        """Remove files without a row: unfinished uploads of an earlier process."""
        known = {file for (file,) in self._store.execute("SELECT file FROM objects")}
        for path in self._folder.glob("*/*"):
            if path.name not in known:
                files.remove(path)

    def containers(self, account: str) -> list[state.Document]:
        """List the containers of an account by name."""
        containers = [document for document in self._store.all("container") if document["account"] == account]
        return sorted(containers, key=lambda document: document["name"])

    def container(self, account: str, name: str) -> state.Document:
        """Return a container.

        :raises ApiError: 404
        """
        document = self._store.get("container", f"{account}/{name}")
        if document is None:
            raise errors.not_found("The resource could not be found.")
        return document

    def make_container(self, account: str, name: str, headers: dict[str, str]) -> bool:
        """Create a container, or add headers to an existing one.

        :returns: whether it is new
        """
        with self._store.transaction():
            old = self._store.get("container", f"{account}/{name}")
            merged = {k: v for k, v in {**(old or {}).get("headers", {}), **headers}.items() if v}
            created = old["created"] if old else self._clock.now().timestamp()
            document = {"account": account, "name": name, "headers": merged, "created": created}
            self._store.put("container", f"{account}/{name}", document)
        return old is None

    def remove_container(self, account: str, name: str) -> None:
        """Delete a container.

        :raises ApiError: 404, or 409 if it is not empty
        """
        with self._store.transaction():
            self.container(account, name)
            if self.usage(account, name)[0]:
                raise errors.conflict("There was a conflict when trying to complete your request.")
            self._store.delete("container", f"{account}/{name}")

    def usage(self, account: str, container: str | None = None) -> tuple[int, int]:
        """Count the objects and bytes in a container, or in the whole account."""
        sql, values = "SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE account = ?", [account]
        if container is not None:
            sql, values = f"{sql} AND container = ?", [*values, container]
        count, size = self._store.execute(sql, values)[0]
        return count, size

    def put(
        self, account: str, container: str, name: str, chunks: Iterable[bytes], content_type: str, **checks: Any
    ) -> StoredObject:
        """Store an object atomically.

        :param checks: ``headers`` to store, ``etag`` that the data must have
        :raises ApiError: 422, if the data has another etag
        :raises ShortBody: the data ended early
        """
        file = uuid.uuid4().hex
        path = self._path(file)
        path.parent.mkdir(exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        try:
            size = files.write(path, chunks, each=digest.update)
            etag = digest.hexdigest()
            if checks.get("etag") not in (None, etag):
                raise errors.ApiError(422, "Unable to process the contained instructions")
            new = StoredObject(
                name, file, size, etag, content_type, self._clock.now().timestamp(), checks.get("headers") or {}
            )
            former = self._replace(account, container, new)
        except BaseException:
            files.remove(path)
            raise
        if former:
            files.remove(self._path(former))
        return new

    def _replace(self, account: str, container: str, new: StoredObject) -> str | None:
        key = (account, container, new.name)
        with self._store.transaction():
            self.container(account, container)
            rows = self._store.execute("SELECT file FROM objects WHERE account = ? AND container = ? AND name = ?", key)
            self._store.execute(
                f"INSERT OR REPLACE INTO objects (account, container, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 a constant
                (
                    *(account, container, new.name, new.file, new.size, new.etag, new.content_type, new.modified),
                    json.dumps(new.headers),
                ),
            )
        return rows[0][0] if rows else None

    def get(self, account: str, container: str, name: str) -> StoredObject:
        """Return an object without its data.

        :raises ApiError: 404
        """
        rows = self._store.execute(
            f"SELECT {COLUMNS} FROM objects WHERE account = ? AND container = ? AND name = ?",  # noqa: S608 a constant
            (account, container, name),
        )
        if not rows:
            raise errors.not_found("The resource could not be found.")
        return _stored(rows[0])

    def exists(self, account: str, container: str, name: str) -> bool:
        sql = "SELECT 1 FROM objects WHERE account = ? AND container = ? AND name = ?"
        return bool(self._store.execute(sql, (account, container, name)))

    def set_headers(self, account: str, container: str, name: str, headers: dict[str, str]) -> None:
        """Replace the headers of an object.

        :raises ApiError: 404
        """
        with self._store.transaction():
            self.get(account, container, name)
            self._store.execute(
                "UPDATE objects SET headers = ? WHERE account = ? AND container = ? AND name = ?",
                (json.dumps(headers), account, container, name),
            )

    def delete(self, account: str, container: str, name: str) -> None:
        """Delete an object.

        :raises ApiError: 404
        """
        rows = self._store.execute(
            "DELETE FROM objects WHERE account = ? AND container = ? AND name = ? RETURNING file",
            (account, container, name),
        )
        if not rows:
            raise errors.not_found("The resource could not be found.")
        files.remove(self._path(rows[0][0]))

    def read(self, stored: StoredObject, start: int, length: int) -> Iterator[bytes]:
        """Read a range of an object.

        :raises FileNotFoundError: it was deleted or replaced since *stored* was returned
        """
        return files.read(self._path(stored.file), start, length)

    def listing(self, account: str, container: str, wanted: Selection) -> list[StoredObject | str]:
        """List objects in the order of their names, and common prefixes as text if there is a delimiter."""
        entries: list[StoredObject | str] = []
        after = wanted.marker
        while len(entries) < wanted.limit:
            rows = self._rows(account, container, wanted, after, wanted.limit - len(entries))
            if not rows:
                break
            for row in rows:
                folded = _folded(row[0], wanted)
                if folded is None:
                    entries.append(_stored(row))
                    after = row[0]
                    continue
                if folded != wanted.marker:  # a prefix as the marker means after all its objects
                    entries.append(folded)
                after = folded + "\U0010ffff"
                break  # query again, to skip the objects with the prefix
        return entries

    def _rows(self, account: str, container: str, wanted: Selection, after: str, limit: int) -> list[tuple[Any, ...]]:
        conditions, values = ["account = ?", "container = ?", "name > ?"], [account, container, after]
        if wanted.prefix:
            conditions += ["name >= ?", "name < ?"]
            values += [wanted.prefix, wanted.prefix + "\U0010ffff"]
        if wanted.end_marker:
            conditions.append("name < ?")
            values.append(wanted.end_marker)
        return self._store.execute(
            f"SELECT {COLUMNS} FROM objects WHERE {' AND '.join(conditions)} ORDER BY name LIMIT {limit}",  # noqa: S608
            values,
        )

    def _path(self, file: str) -> Path:
        return self._folder / file[:2] / file


def _stored(row: tuple[Any, ...]) -> StoredObject:
    name, file, size, etag, content_type, modified, headers = row
    return StoredObject(name, file, size, etag, content_type, modified, json.loads(headers))


def _folded(name: str, wanted: Selection) -> str | None:
    if not wanted.delimiter:
        return None
    at = name.find(wanted.delimiter, len(wanted.prefix))
    return None if at < 0 else name[: at + len(wanted.delimiter)]
