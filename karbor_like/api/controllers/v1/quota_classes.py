from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.api.controllers import base
from karbor_like.api.controllers.v1.quotas import limits_of
from karbor_like.api.expose import expose
from karbor_like.api.schemas import quotas as schemas
from karbor_like.db import quotas
from karbor_like.policies import quota_classes as rules

_MAX_NAME = 255


class QuotaClasses(base.Controller):
    """Named sets of limits. The class ``default`` applies to projects without limits of their own."""

    @expose(policy=rules.GET, response=schemas.SHOWN_CLASS)
    def show(self, class_name: str) -> dict[str, Any]:
        """Show a quota class."""
        with self.deps.database.reader() as session:
            limits = quotas.class_limits(session, _checked(class_name), dict(self.deps.conf.quota))
        return {"quota_class": {**limits, "id": class_name}}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE_CLASS, response=schemas.UPDATED_CLASS)
    def update(self, class_name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a quota class."""
        name = _checked(class_name)
        values = limits_of(body["quota_class"])

        def change(session: Any) -> dict[str, int]:
            quotas.set_class_limits(session, name, values)
            session.flush()
            return quotas.class_limits(session, name, dict(self.deps.conf.quota))

        return {"quota_class": self.deps.database.write(change)}


def _checked(class_name: str) -> str:
    if len(class_name) > _MAX_NAME or "\0" in class_name:
        raise exception.InvalidInput(f"the name of a quota class is 1 to {_MAX_NAME} characters long")
    return class_name
