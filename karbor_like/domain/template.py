"""The template of a restore: descriptions of resources, contributed one by one, that refer to each other.

The resolved form has the shape of the ``resources`` section of a Heat Orchestration Template. This module is pure: it
creates nothing.
"""

from collections.abc import Mapping
from typing import Any

from karbor_like import exception

_REFERENCE = "ref"


class Template:
    """Contributions of all resources of one restore."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}

    def add(self, name: str, resource_type: str, properties: Mapping[str, Any], *, restores: str | None = None) -> None:
        """Add a description.

        :param name: unique in the template
        :param resource_type: such as ``OS::Nova::Server``
        :param properties: JSON values, in which :meth:`reference` stands for other resources
        :param restores: ``Type#id`` of the original in the checkpoint

        Raises Conflict if another description has the same name or restores the same original.
        """
        if name in self._resources:
            raise exception.Conflict(f"template resource {name}: it is described twice")
        if restores is not None and self._names.setdefault(restores, name) != name:
            raise exception.Conflict(f"{restores}: the template restores it as {self._names[restores]} and as {name}")
        self._resources[name] = {"type": resource_type, "properties": dict(properties)}

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The descriptions by name, with references."""
        return self._resources

    @staticmethod
    def reference(resource_key: str) -> dict[str, str]:
        """Return a property value that stands for the restored counterpart of the original ``Type#id``."""
        return {_REFERENCE: resource_key}

    def resolve(self, ids: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the descriptions by name, with every reference replaced.

        A reference to an original that the template restores becomes ``{"get_resource": name}``, any other one the id in
        *ids* (original ``Type#id`` -> id in the target). Raises Conflict that lists the references without either.
        """
        missing: dict[str, None] = {}
        resolved = {name: self._resolve(resource, ids, missing) for name, resource in self._resources.items()}
        if missing:
            raise exception.Conflict(
                f"the template refers to resources that are not restored: {', '.join(missing)}; map each to an existing one"
            )
        return resolved

    def _resolve(self, value: Any, ids: Mapping[str, str], missing: dict[str, None]) -> Any:
        if isinstance(value, list | tuple):
            return [self._resolve(item, ids, missing) for item in value]
        if not isinstance(value, Mapping):
            return value
        if set(value) != {_REFERENCE}:
            return {key: self._resolve(item, ids, missing) for key, item in value.items()}
        key = value[_REFERENCE]
        if key in self._names:
            return {"get_resource": self._names[key]}
        if key not in ids:
            missing[key] = None
        return ids.get(key)
