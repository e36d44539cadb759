"""Shares and their snapshots. The content of a share is one text, which a snapshot copies."""

from typing import Any, Final

from karbor_like.sandbox import errors, faults, state, web
from karbor_like.sandbox.volume import records

#: What the share types support: snapshots, and new shares of them.
TYPES: Final = {
    "sandbox": {"id": "5a3d0000-0000-4000-8000-000000000001", "snapshot": True, "from_snapshot": True},
    "sandbox-plain": {"id": "5a3d0000-0000-4000-8000-000000000002", "snapshot": False, "from_snapshot": False},
    "sandbox-frozen": {"id": "5a3d0000-0000-4000-8000-000000000003", "snapshot": True, "from_snapshot": False},
}
PROTOCOLS: Final = ("NFS", "CIFS")
ZONE: Final = "nova"
DELETABLE: Final = ("available", "error", "inactive")
VALUE_LENGTH: Final = 1023


class _Records(records.Records):
    """What shares and snapshots have in common."""

    @property
    def message_type(self) -> str:
        return self.kind.upper()

    def describe(self, caller: web.Identity, key: str, values: dict[str, Any]) -> state.Document:
        """Change name and description, and whether a share is public.

        :raises ApiError: 403, if a member makes it public
        """
        fields = described(values, "display_name", "display_description")
        if "is_public" in values:
            fields["is_public"] = bool(values["is_public"])
            require_public(caller, fields["is_public"])
        with self._store.transaction():
            self.get(caller, key)
            return self.set(key, **fields) or {}

    def check_metadata(self, metadata: Any) -> dict[str, str]:
        return checked(metadata)


class Snapshots(_Records):
    """The snapshots of all projects."""

    kind = "share_snapshot"
    title = "Snapshot"

    def recover(self) -> None:
        """Mark unfinished snapshots as failed and continue deletions."""
        for snapshot in self.all():
            if snapshot["status"] == "creating":
                self.set(snapshot["id"], status="error")
            elif snapshot["status"] == "deleting":
                self.remove(snapshot["id"])

    def create(
        self, caller: web.Identity, share: state.Document, values: dict[str, Any], strikes: faults.Strikes
    ) -> state.Document:
        """Take a snapshot of a share in the background.

        :raises ApiError: 422, if its type does not support snapshots; 400, if its status does not allow it; 413
        """
        if not capabilities(share)["snapshot"]:
            raise errors.ApiError(
                422, f"Snapshots cannot be created for share '{share['id']}' since it does not have that capability."
            )
        if share["status"] != "available":
            raise errors.bad_request("Invalid share: Source share status must be available.")
        fields = {
            "name": None,
            "description": None,
            "metadata": checked(values.get("metadata") or {}),
            **described(values, "name", "description"),
            "share_id": share["id"],
            "share_proto": share["share_proto"],
            "size": share["size"],
            "content": share["content"],
        }
        with self._store.transaction():
            self._quotas.require(caller.project_id, snapshots=1, snapshot_gigabytes=share["size"])
            snapshot = self.add(caller, fields)
        self.start(snapshot, lambda: self.reset(snapshot["id"], "available"), strikes)
        return snapshot

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a snapshot in the background.

        :raises ApiError: 400, if its status does not allow it
        """
        with self._store.transaction():
            snapshot = self.get(caller, key)
            if snapshot["status"] not in ("available", "error"):
                raise errors.bad_request(
                    "Invalid share snapshot: Share Snapshot status must be one of ('available', 'error')."
                )
            self.set(key, status="deleting")
        self.start_deletion(snapshot, strikes)


class Shares(_Records):
    """The shares of all projects."""

    kind = "share"
    title = "Share"

    def __init__(self, common: records.Common, snapshots: Snapshots) -> None:
        super().__init__(common)
        self._snapshots = snapshots

    def recover(self) -> None:
        """Mark unfinished shares as failed and continue deletions."""
        for share in self.all():
            if share["status"] in ("creating", "creating_from_snapshot"):
                self.set(share["id"], status="error")
            elif share["status"] == "deleting":
                self.remove(share["id"])

    def get(self, caller: web.Identity, key: str) -> state.Document:
        share = self._store.get(self.kind, key)
        return share if share and share["is_public"] else super().get(caller, key)

    def create(self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Create a share in the background, empty or of a snapshot.

        :raises ApiError: 400 for invalid parameters, 403 for a public share, 404 for a snapshot or a share network that is
            not visible to the caller, 413 over quota
        """
        snapshot = self._snapshots.get(caller, values["snapshot_id"]) if values.get("snapshot_id") else None
        parent = self._store.get(self.kind, snapshot["share_id"]) if snapshot else None
        fields = self._fields(caller, values)
        if snapshot and parent:
            _require_like(parent, snapshot, fields)
            fields |= {name: parent[name] for name in ("share_type", "share_network_id", "availability_zone")}
            fields |= {
                "snapshot_id": snapshot["id"],
                "content": snapshot["content"],
                "status": "creating_from_snapshot",
            }
        fields["share_type"] = fields["share_type"] or "sandbox"
        fields["availability_zone"] = fields["availability_zone"] or ZONE
        with self._store.transaction():
            self._quotas.require(caller.project_id, shares=1, gigabytes=fields["size"])
            share = self.add(caller, fields)
        self.start(share, lambda: self.reset(share["id"], "available"), strikes)
        return share

    def _fields(self, caller: web.Identity, values: dict[str, Any]) -> dict[str, Any]:
        size, protocol = values.get("size"), str(values.get("share_proto")).upper()
        if not isinstance(size, int) or size < 1:
            raise errors.bad_request(
                f"Invalid input received: Share size '{size}' must be an integer and greater than 0"
            )
        if protocol not in PROTOCOLS:
            raise errors.bad_request(
                f"Invalid input received: Invalid share protocol provided: {protocol}. It is either disabled or "
                f"unsupported. Available protocols: {list(PROTOCOLS)}"
            )
        require_public(caller, bool(values.get("is_public")))
        network_id = values.get("share_network_id")
        network = self._store.get("share_network", network_id) if network_id else None
        if network_id and (network is None or not caller.may_see(network["project_id"])):
            raise errors.not_found(f"Share network {network_id} could not be found.")
        return {
            "name": None,
            "description": None,
            **described(values, "name", "description"),
            "metadata": checked(values.get("metadata") or {}),
            "size": size,
            "share_proto": protocol,
            "share_type": _type(values.get("share_type")),
            "share_network_id": network_id,
            "availability_zone": values.get("availability_zone"),
            "is_public": bool(values.get("is_public")),
            "snapshot_id": None,
            "content": "",
        }

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a share in the background.

        :raises ApiError: 403, if its status does not allow it or it has snapshots
        """
        with self._store.transaction():
            share = super().get(caller, key)
            if share["status"] not in DELETABLE:
                raise errors.forbidden(f"Invalid share: Share status must be one of {DELETABLE}.")
            count = sum(snapshot["share_id"] == key for snapshot in self._snapshots.all())
            if count:
                raise errors.forbidden(f"Invalid share: Share still has {count} dependent snapshots.")
            self.set(key, status="deleting")
        self.start_deletion(share, strikes)


def capabilities(share: state.Document) -> dict[str, Any]:
    """Return what the type of a share supports."""
    return TYPES[share["share_type"]]


def require_public(caller: web.Identity, is_public: bool) -> None:
    """Allow public shares to administrators only.

    :raises ApiError: 403
    """
    if is_public and not caller.is_admin:
        raise errors.forbidden("Policy doesn't allow share:set_public_share to be performed.")


def described(values: dict[str, Any], name: str, description: str) -> dict[str, Any]:
    """Read name and description from the members of a body that are called so.

    :raises ApiError: 400, if one is too long
    """
    fields = {field: values[key] for field, key in (("name", name), ("description", description)) if key in values}
    for value in fields.values():
        if value is not None and (not isinstance(value, str) or len(value) > records.NAME_LENGTH):
            raise errors.bad_request(f"{name} or {description} can only be up to 255 characters long.")
    return fields


def checked(metadata: Any) -> dict[str, str]:
    """Validate metadata.

    :raises ApiError: 400
    """
    if not isinstance(metadata, dict):
        raise errors.bad_request("Malformed request body")
    for key, value in metadata.items():
        if not key or len(key) > records.NAME_LENGTH:
            raise errors.bad_request("Metadata property key is blank or greater than 255 characters.")
        if not value or not isinstance(value, str) or len(value) > VALUE_LENGTH:
            raise errors.bad_request("Metadata property value is blank or greater than 1023 characters.")
    return metadata


def _type(name: str | None) -> str | None:
    """Return the name of a type, which may be given by its id."""
    if name is None:
        return None
    for each, values in TYPES.items():
        if name in (each, values["id"]):
            return each
    raise errors.not_found("Share type not found.")


def _require_like(parent: state.Document, snapshot: state.Document, fields: dict[str, Any]) -> None:
    """Check that a share of a snapshot is like the snapshot's share."""
    if fields["share_network_id"] not in (None, parent["share_network_id"]):
        raise errors.bad_request("Share network ID should be the same as snapshot's parent share's or empty")
    if not capabilities(parent)["from_snapshot"]:
        raise errors.bad_request(
            f"A new share may not be created from snapshot '{snapshot['id']}', because the snapshot's parent share does "
            "not have that capability."
        )
    if snapshot["status"] != "available":
        raise errors.bad_request("Invalid share snapshot: status must be 'available'.")
    if fields["size"] < snapshot["size"]:
        raise errors.bad_request(
            f"Invalid input received: Share size '{fields['size']}' must be equal or greater than snapshot size"
        )
    if fields["availability_zone"] not in (None, parent["availability_zone"]):
        raise errors.bad_request(
            "Invalid input received: The specified availability zone must be the same as the parent share when creating "
            "from snapshot."
        )
    if fields["share_type"] not in (None, parent["share_type"]):
        raise errors.bad_request(
            "Invalid input received: Invalid share type specified: the requested share type must match the type of the "
            "source share."
        )
