import uuid
from collections.abc import Mapping
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import quotas as schemas
from karbor_like.db import quotas
from karbor_like.policies import quotas as rules

_OWNER = "target_project_id"
#: Characters; longer than the longest form of an id, which begins with "urn:uuid:".
_MAX_ID = 64


class Quotas(base.Controller):
    """Limits of projects."""

    @property
    def _defaults(self) -> dict[str, int]:
        return dict(self.deps.conf.quota)

    @expose(policy=rules.GET, response=schemas.SHOWN, owner=_OWNER)
    def show(self, target_project_id: str) -> dict[str, Any]:
        """Show the limits of a project."""
        project_id = _canonical(target_project_id)
        with self.deps.database.reader() as session:
            return {"quota": {**quotas.limits(session, project_id, self._defaults), "id": project_id}}

    @expose(policy=rules.GET, response=schemas.DETAIL, owner=_OWNER)
    def detail(self, target_project_id: str) -> dict[str, Any]:
        """Show the limits and the usage of a project."""
        project_id = _canonical(target_project_id)
        with self.deps.database.reader() as session:
            used = quotas.usage(session, project_id)
            limits = quotas.limits(session, project_id, self._defaults)
        # Nothing is ever reserved: use is counted.
        detail = {name: {"limit": limit, "in_use": used[name], "reserved": 0} for name, limit in limits.items()}
        return {"quota": {**detail, "id": project_id}}

    @expose(policy=rules.GET_DEFAULT, response=schemas.SHOWN)
    def defaults(self, target_project_id: str) -> dict[str, Any]:
        """Show the default limits."""
        project_id = _canonical(target_project_id)
        with self.deps.database.reader() as session:
            return {"quota": {**quotas.default_limits(session, self._defaults), "id": project_id}}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE, response=schemas.UPDATED, owner=_OWNER)
    def update(self, target_project_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set limits of a project."""
        project_id = _canonical(target_project_id)
        values = limits_of(body["quota"])

        def change(session: Any) -> dict[str, int]:
            quotas.set_limits(session, project_id, values)
            session.flush()
            return quotas.limits(session, project_id, self._defaults)

        return {"quota": self.deps.database.write(change)}

    @expose(policy=rules.DELETE, owner=_OWNER)
    def delete(self, target_project_id: str) -> None:
        """Reset a project to the default limits. Its usage is still counted."""
        project_id = _canonical(target_project_id)
        self.deps.database.write(lambda session: quotas.delete_limits(session, project_id))


def limits_of(asked: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits in a validated body as numbers."""
    return {name: int(asked[name]) for name in quotas.COUNTED if name in asked}


def _canonical(project_id: str) -> str:
    """Return the id of a project as tokens have it: 32 digits.

    :raises InvalidInput: it is not a UUID
    """
    # Prefixes may come before a UUID as often as one likes.
    if len(project_id) > _MAX_ID or not uuidutils.is_uuid_like(project_id):
        raise exception.InvalidInput(f"the project {project_id[:64]!r} in the path is not a UUID")
    return uuid.UUID(project_id).hex
