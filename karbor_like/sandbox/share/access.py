"""Access rules of shares. They are applied in the background."""

import ipaddress
from typing import Any

from karbor_like.sandbox import errors, faults, jobs, state, web

KIND = "share_access"
TYPES = ("ip", "user", "cert", "cephx")
LEVELS = ("rw", "ro")
SYNCING = ("queued_to_apply", "queued_to_deny")


class AccessRules:
    """The access rules of all shares."""

    def __init__(self, store: state.Store, work: jobs.Jobs) -> None:
        self._store = store
        self._jobs = work

    def recover(self) -> None:
        """Apply and remove what was interrupted."""
        for rule in self._store.all(KIND):
            if rule["state"] == "queued_to_apply":
                self._store.change(KIND, rule["id"], state="active")
            elif rule["state"] == "queued_to_deny":
                self._store.delete(KIND, rule["id"])

    def of(self, share_id: str) -> list[state.Document]:
        return [rule for rule in self._store.all(KIND) if rule["share_id"] == share_id]

    def status(self, share_id: str) -> str:
        """Return the status of all rules of a share."""
        states = {rule["state"] for rule in self.of(share_id)}
        return "syncing" if states & set(SYNCING) else "error" if "error" in states else "active"

    def allow(self, share: state.Document, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Add a rule.

        :raises ApiError: 400, if it is invalid or exists, or if the status of the share does not allow it
        """
        kind, client = values.get("access_type"), values.get("access_to")
        level = values.get("access_level") or "rw"
        _check(kind, client, level)
        with self._store.transaction():
            if any((rule["access_type"], rule["access_to"]) == (kind, client) for rule in self.of(share["id"])):
                raise errors.bad_request(f"Share access {kind}:{client} exists.")
            if share["status"] != "available":
                raise errors.bad_request(
                    "New access rules cannot be applied while the share or any of its replicas or migration copies lacks "
                    "a valid host or is in an invalid state."
                )
            rule = {
                "id": web.new_id(),
                "share_id": share["id"],
                "access_type": kind,
                "access_to": client,
                "access_level": level,
                "access_key": "AQA3MD==" if kind == "cephx" else None,
                "metadata": values.get("metadata") or {},
                "state": "queued_to_apply",
            }
            self._store.put(KIND, rule["id"], rule)
        self._jobs.start(lambda: self._end(rule, "active"), lambda reason: self._end(rule, "error"), strikes)
        return rule

    def _end(self, rule: state.Document, how: str) -> None:
        self._store.change(KIND, rule["id"], state=how)

    def deny(self, share_id: str, rule_id: str, strikes: faults.Strikes) -> None:
        """Remove a rule in the background.

        :raises ApiError: 404
        """
        rule = next((rule for rule in self.of(share_id) if rule["id"] == rule_id), None)
        if rule is None:
            raise errors.not_found("Resource could not be found.")
        self._end(rule, "queued_to_deny")
        self._jobs.start(lambda: self._store.delete(KIND, rule_id), lambda reason: self._end(rule, "error"), strikes)


def _check(kind: Any, client: Any, level: Any) -> None:
    if kind not in TYPES or level not in LEVELS or not isinstance(client, str) or not client:
        raise errors.bad_request(f"Invalid access rule: {kind}:{client} with level {level}")
    if kind != "ip":
        return
    try:
        ipaddress.ip_network(client)
    except ValueError:
        raise errors.bad_request(f"Invalid IP access: {client} is not an IP address or network.") from None
