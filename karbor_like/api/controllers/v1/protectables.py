import ast
import json
from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.api import body, errors, paging, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import protectables as schemas
from karbor_like.db import protected
from karbor_like.domain import coercion
from karbor_like.policies import protectables as rules


class Protectables(base.Controller):
    """Resource types that can be protected, and the caller's resources of these types."""

    @expose(policy=rules.GET_ALL, response=schemas.TYPES)
    def list(self) -> dict[str, Any]:
        """List the types. The member is singular, as clients expect."""
        return {"protectable_type": self.deps.protection.list_protectables(self.context)}

    @expose(policy=(rules.GET_ALL, rules.GET), response=schemas.TYPE)
    def show(self, protectable_type: str) -> dict[str, Any]:
        """Show a type and the types of its possible children."""
        found = self.deps.protection.show_protectable(self.context, resource_type=protectable_type)
        return {
            "protectable_type": {"name": found["name"], "dependent_types": sorted(found.get("dependent_types") or ())}
        }

    @expose(policy=(rules.GET_ALL, rules.INSTANCE_GET_ALL), query=schemas.LIST_INSTANCES, response=schemas.PAGE)
    def list_instances(self, protectable_type: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """List the caller's resources of a type with their direct children, sorted by id, or those that are unprotected."""
        page = self.page(query)
        if "protected" in query:
            return self._list_protected(protectable_type, query, page, _wanted(query["protected"]))
        found = self.deps.protection.list_instances(
            self.context,
            resource_type=protectable_type,
            parameters=_parameters(query),
            limit=page.limit,
            marker=page.marker,
        )
        return self.links("instances", [views.instance(one) for one in found], page)

    def _list_protected(
        self, resource_type: str, query: Mapping[str, Any], page: paging.Page, wanted: bool | None
    ) -> dict[str, Any]:
        """List resources with their last checkpoints, by one call and one query.

        :param wanted: list only those that are protected (True) or are not (False); None: all
        """
        every = self.deps.protection.list_instances(
            self.context, resource_type=resource_type, parameters=_parameters(query)
        )
        with self.deps.database.reader() as session:
            last = protected.last_checkpoints(session, self.project_id, resource_type)
        if page.marker is not None and page.marker not in {one["id"] for one in every}:
            raise exception.ResourceNotFound(f"marker {page.marker!r} is not the id of a {resource_type}")
        found = [
            one
            for one in every
            if (page.marker is None or one["id"] > page.marker) and wanted in (None, one["id"] in last)
        ]
        shown = [views.protected_instance(one, last.get(one["id"])) for one in found[: page.limit]]
        count = sum(one["id"] in last for one in every)
        counts = {"protected": count, "unprotected": len(every) - count}
        return {**self.links("instances", shown, page), "counts": counts}

    @expose(policy=(rules.GET_ALL, rules.INSTANCE_GET), query=schemas.SHOW_INSTANCE, response=schemas.SHOWN)
    def show_instance(self, protectable_type: str, resource_id: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """Show a resource and its direct children."""
        parameters = _parameters(query)
        # The state of the resource forbids its protection.
        with errors.as_bad_request(exception.Conflict):
            found = self.deps.protection.show_instance(
                self.context, resource_type=protectable_type, resource_id=resource_id, parameters=parameters
            )
        return {"instance": views.instance(found)}


def _wanted(text: str) -> bool | None:
    """Return what the parameter ``protected`` selects; None: everything."""
    if text == "all":
        return None
    wanted = coercion.boolean(text)
    if wanted is None:
        raise exception.InvalidInput(f"protected: {text!r} is unknown; use true, false or all")
    return wanted


def _parameters(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for the plugin. Old clients send the text of a Python dictionary, others JSON."""
    text = query.get("parameters")
    if not text:
        return {}
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
            # A Python dictionary may contain values that are not JSON.
            parameters = _json_object(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        body.check_values(parameters, "parameters")
        return parameters
    raise exception.InvalidInput(f"parameters: {text[:64]!r} is not a dictionary; send a JSON object")


def _json_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    copy: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return copy
