"""The example's "cloud": documents of tenants, in the directory that the environment variable EXAMPLE_DOCUMENTS names.

A document consists of bytes, a title and links to other documents of the tenant.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TYPE = "Example::Document"


class Store:
    """The documents of one tenant."""

    def __init__(self, project_id: str) -> None:
        self._directory = Path(os.environ["EXAMPLE_DOCUMENTS"]) / project_id

    def ids(self) -> list[str]:
        """Return the ids of all documents."""
        return sorted(path.stem for path in self._directory.glob("*.json"))

    def path(self, document_id: str) -> Path:
        """Return the file that holds the document's bytes."""
        return self._directory / f"{document_id}.data"

    def describe(self, document_id: str) -> dict[str, Any]:
        """Return title and links. Raises KeyError if the document does not exist."""
        if document_id not in self.ids():
            raise KeyError(document_id)
        return json.loads((self._directory / f"{document_id}.json").read_text())

    def put(self, document_id: str, title: str, links: Iterable[str], pieces: Iterable[bytes] | None = None) -> None:
        """Write a document, without *pieces* only its title and links."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if pieces is not None:
            with self.path(document_id).open("wb") as file:
                file.writelines(pieces)
        description = {"title": title, "links": list(links)}
        (self._directory / f"{document_id}.json").write_text(json.dumps(description))

    def delete(self, document_id: str) -> None:
        """Delete a document. Idempotent."""
        (self._directory / f"{document_id}.json").unlink(missing_ok=True)
        self.path(document_id).unlink(missing_ok=True)
