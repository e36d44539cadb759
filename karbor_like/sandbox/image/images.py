"""Images: records and data, used by Glance's API and by Cinder, which converts volumes to images and images to volumes."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, files, state, web
from karbor_like.sandbox.image import inspection

HASHING_ALGORITHM = "sha256"
"""Glance's option ``hashing_algorithm``. Its default, SHA-512, takes most processors, which have instructions for SHA-256,
several times as long: most of the time of a backup of an image."""

FORMATS = {
    "container_format": ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"),
    "disk_format": ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "ploop", "iso"),
    "visibility": ("community", "public", "private", "shared"),
}
DEFAULTS: dict[str, Any] = {
    "name": None,
    "visibility": "shared",
    "container_format": None,
    "disk_format": None,
    "min_disk": 0,
    "min_ram": 0,
    "protected": False,
    "os_hidden": False,
    "tags": [],
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "name": (str, type(None)),
    "min_disk": int,
    "min_ram": int,
    "protected": bool,
    "os_hidden": bool,
    "tags": list,
}
READ_ONLY = (
    *("id", "owner", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
    *("created_at", "updated_at", "self", "file", "schema", "direct_url", "locations", "stores"),
)
UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Images:
    """The images of all projects. A document has the attributes that the API shows; unknown ones are properties."""

    def __init__(self, store: state.Store, folder: Path, clock: clocks.Clock, settings: state.Settings) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._settings = settings
        self._uploads = threading.Lock()

    def recover(self) -> None:
        """Reset images with an unfinished upload of an earlier process, so that the upload can be repeated."""
        for image in self._store.all("image"):
            if image["status"] == "saving":
                self._store.change("image", image["id"], status="queued", size=None)
        for left in self._folder.glob("*.part"):
            files.remove(left)

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def create(self, caller: web.Identity, values: dict[str, Any]) -> state.Document:
        """Create an image in the status ``queued``.

        :raises ApiError: 400 or 403 for invalid attributes, 409 if the id is in use
        """
        image_id = values.pop("id", None) or web.new_id()
        if not UUID.fullmatch(str(image_id)):
            raise errors.bad_request("Failed to validate request: id must be a UUID")
        owner = values.pop("owner", caller.project_id)
        if owner != caller.project_id and not caller.is_admin:
            raise errors.forbidden("You are not permitted to create images owned by another project.")
        _check(caller, values)
        now = self._now()
        image = {
            **DEFAULTS,
            **values,
            "id": image_id,
            "owner": owner,
            "status": "queued",
            "size": None,
            "virtual_size": None,
            "checksum": None,
            "os_hash_algo": None,
            "os_hash_value": None,
            "created_at": now,
            "updated_at": now,
        }
        with self._store.transaction():
            if self._store.get("image", image_id):
                raise errors.conflict(f"Image ID {image_id} already exists!")
            self._store.put("image", image_id, image)
        return image

    def get(self, caller: web.Identity, image_id: str) -> state.Document:
        """Return an image.

        :raises ApiError: 404, if it does not exist or is private to another project
        """
        image = self._store.get("image", image_id)
        if image is None or not (
            caller.may_see(image["owner"])
            or image["visibility"] in ("public", "community")
            or image["visibility"] == "shared"
            and caller.project_id in self.members(image_id)
        ):
            raise errors.not_found(f"No image found with ID {image_id}")
        return image

    def own(self, caller: web.Identity, image_id: str) -> state.Document:
        """Return an image that the caller may change.

        :raises ApiError: 404 as for :meth:`get`, 403 if the caller has read access only
        """
        image = self.get(caller, image_id)
        if not caller.may_see(image["owner"]):
            raise errors.forbidden("You are not permitted to modify this image.")
        return image

    def members(self, image_id: str) -> list[str]:
        """List the projects that an image is shared with. They see it by its id; lists leave it out, as if not accepted."""
        return (self._store.get("image_members", image_id) or {"members": []})["members"]

    def share(self, caller: web.Identity, image_id: str, project_id: str) -> None:
        """Share an image with a project.

        :raises ApiError: 403 unless the image is the caller's own and its visibility is ``shared``
        """
        with self._store.transaction():
            if self.own(caller, image_id)["visibility"] != "shared":
                raise errors.forbidden("Only shared images have members.")
            self._store.put("image_members", image_id, {"members": [*self.members(image_id), project_id]})

    def all(self, caller: web.Identity) -> list[state.Document]:
        """List all images for an administrator, and public and own images for other callers."""
        return [i for i in self._store.all("image") if caller.may_see(i["owner"]) or i["visibility"] == "public"]

    def update(self, caller: web.Identity, image_id: str, change: Callable[[state.Document], None]) -> state.Document:
        """Apply *change* to the mutable attributes, and validate the result."""
        with self._store.transaction():
            image = self.own(caller, image_id)
            open_part = {key: value for key, value in image.items() if key not in READ_ONLY}
            change(open_part)
            _check(caller, open_part, image["visibility"])
            image = {key: image[key] for key in READ_ONLY if key in image} | DEFAULTS | open_part
            image["updated_at"] = self._now()
            self._store.put("image", image_id, image)
        return image

    def delete(self, caller: web.Identity, image_id: str) -> None:
        """Delete an image.

        :raises ApiError: 403 for a protected image
        """
        with self._store.transaction():
            image = self.own(caller, image_id)
            if image["protected"]:
                raise errors.forbidden(f"Image {image_id} is protected and cannot be deleted.")
            self._store.delete("image", image_id)
            self._store.delete("image_members", image_id)
        files.remove(self._folder / image_id)

    def store_bytes(self, image_id: str, chunks: Iterable[bytes]) -> state.Document:
        """Store the data of a queued image and activate it; on failure the image is queued again.

        :raises ApiError: 409 if the image is not queued, 410 if it was deleted meanwhile, 415 if its content is refused
        :raises ShortBody: the stream ended early
        """
        with self._store.transaction():
            image = self._store.get("image", image_id)
            if image is None:
                raise errors.not_found(f"No image found with ID {image_id}")
            if image["status"] != "queued":
                raise errors.conflict(f"Image status transition from {image['status']} to saving is not allowed")
            if not image["disk_format"] or not image["container_format"]:
                raise errors.bad_request("Properties disk_format, container_format must be set prior to saving data.")
            self._store.change("image", image_id, status="saving")
        part = self._folder / f"{image_id}.part"
        try:
            with files.Digests() as digests:
                size = files.write(part, chunks, each=digests.update)
            if self._settings.inspect_content and (reason := inspection.refusal(part, image["disk_format"])):
                raise errors.ApiError(415, reason)
            return self._activate(image_id, part, size, digests)
        except BaseException:
            self._store.change("image", image_id, status="queued", size=None)
            raise
        finally:
            files.remove(part)

    def _activate(self, image_id: str, part: Path, size: int, digests: files.Digests) -> state.Document:
        with self._store.transaction():
            image = self._store.change(
                "image",
                image_id,
                status="active",
                size=size,
                virtual_size=None,
                checksum=digests.md5,
                os_hash_algo=HASHING_ALGORITHM,
                os_hash_value=digests.sha256,
                updated_at=self._now(),
            )
            if image is None:
                raise errors.ApiError(410, f"Image {image_id} was deleted during its upload.")
            part.rename(self._folder / image_id)
        return image

    def kill(self, image_id: str) -> None:
        """Mark an image as killed after its storage failed."""
        self._store.change("image", image_id, status="killed", updated_at=self._now())

    def path(self, image: state.Document) -> Path:
        """Return the file with the data of an active image."""
        return self._folder / image["id"]

    def read(self, image: state.Document, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        return files.read(self.path(image), start, length)


def properties(image: state.Document) -> dict[str, Any]:
    """Return the attributes that Glance does not define."""
    return {key: value for key, value in image.items() if key not in DEFAULTS and key not in READ_ONLY}


def _check(caller: web.Identity, values: dict[str, Any], former_visibility: str | None = None) -> None:
    for key, value in values.items():
        if key in READ_ONLY:
            raise errors.forbidden(f"Attribute '{key}' is read-only.")
        if key in FORMATS:
            if value is not None and value not in FORMATS[key]:
                raise errors.bad_request(f"Invalid {key} {value!r}: must be one of {', '.join(FORMATS[key])}")
        elif not isinstance(value, TYPES.get(key, str)) or (TYPES.get(key) is int and isinstance(value, bool)):
            raise errors.bad_request(f"Failed validating type in schema: {key} = {value!r}")
        elif isinstance(value, int) and value < 0:
            raise errors.bad_request(f"Failed validating minimum in schema: {key} = {value!r} is less than 0")
    if values.get("visibility") == "public" and former_visibility != "public" and not caller.is_admin:
        raise errors.forbidden("You are not authorized to complete publicize_image action.")
