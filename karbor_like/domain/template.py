"""The template of a restore: descriptions of resources, contributed one by one, that refer to each other.

The resolved form has the shape of the ``resources`` section of a Heat Orchestration Template. This module is pure: it
creates nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception


class Reference(dict[str, str]):
    """The value of a property that means another resource: ``ref`` names an original, ``get_resource`` a description.

    It is a class of its own, because values of tenants, such as the metadata of a server, may look the same.
    """


class Template:
    """Contributions of all resources of one restore."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._existing: dict[str, str] = {}

    def add(
        self,
        name: str,
        resource_type: str,
        properties: Mapping[str, Any],
        *,
        restores: str | None = None,
        after: Sequence[str] = (),
    ) -> None:
        """Add a description.

        :param name: unique in the template
        :param resource_type: such as ``OS::Nova::Server``
        :param properties: JSON values, in which :meth:`reference` stands for other resources
        :param restores: ``Type#id`` of the original in the checkpoint
        :param after: names of descriptions that must exist before, although nothing in *properties* refers to them

        Raises Conflict if another description has the same name or restores the same original.
        """
        if name in self._resources:
            raise exception.Conflict(f"template resource {name}: it is described twice")
        if restores is not None and self._names.setdefault(restores, name) != name:
            raise exception.Conflict(f"{restores}: the template restores it as {self._names[restores]} and as {name}")
        self._resources[name] = {"type": resource_type, "properties": dict(properties)}
        if after:
            self._resources[name]["depends_on"] = [*after]

    def use(self, original: str, target_id: str) -> None:
        """Let references to an original mean an object that the target has already.

        :param original: ``Type#id`` in the checkpoint
        """
        self._existing[original] = target_id

    def existing(self, original: str) -> str | None:
        """Return the id that :meth:`use` named for an original ``Type#id``, or None."""
        return self._existing.get(original)

    def knows(self, original: str) -> bool:
        """Return whether a description restores the original ``Type#id``, or :meth:`use` named its counterpart."""
        return original in self._names or original in self._existing

    @property
    def originals(self) -> Mapping[str, str]:
        """The names of the descriptions that restore an original, by ``Type#id``."""
        return self._names

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The descriptions by name, with references."""
        return self._resources

    @staticmethod
    def reference(resource_key: str) -> Reference:
        """Return a property value that stands for the restored counterpart of the original ``Type#id``."""
        return Reference(ref=resource_key)

    def resolve(self, ids: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the descriptions by name, with every reference replaced.

        A reference to an original that the template restores becomes ``{"get_resource": name}``, any other one the id in
        *ids* (original ``Type#id`` -> id in the target) or the one that :meth:`use` named. Raises Conflict that lists the
        references without either.
        """
        missing: dict[str, None] = {}
        ids = {**self._existing, **ids}
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
        if not isinstance(value, Reference):
            return {key: self._resolve(item, ids, missing) for key, item in value.items()}
        key = value["ref"]
        if key in self._names:
            return Reference(get_resource=self._names[key])
        if key not in ids:
            missing[key] = None
        return ids.get(key)
