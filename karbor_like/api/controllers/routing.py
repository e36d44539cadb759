"""Lookup of the route of a request in the table of ``controllers/v1/__init__.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from karbor_like.api import expose
from karbor_like.api.controllers.base import Controller


@dataclass(frozen=True)
class Route:
    """Maps a method and a path below ``/v1/{project_id}`` to a controller's method. Segments in braces are variables."""

    method: str
    path: str
    controller: type[Controller]
    name: str

    @property
    def segments(self) -> tuple[str, ...]:
        """Segments of the path."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def action(self) -> expose.Action:
        """What the controller's method takes and returns."""
        return expose.action_of(getattr(self.controller, self.name))

    def variables(self, path: Sequence[str]) -> dict[str, str] | None:
        """Return the values of the variables if *path* matches this route, else None."""
        variables = {}
        for segment, given in zip(self.segments, path, strict=True):
            if segment.startswith("{"):
                variables[segment.strip("{}")] = given
            elif segment != given:
                return None
        return variables


class Router:
    """The routes, indexed by method and number of segments. If two routes match, the first in the table is used."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes: dict[tuple[str, int], list[Route]] = {}
        for route in routes:
            expose.action_of(getattr(route.controller, route.name))
            self._routes.setdefault((route.method, len(route.segments)), []).append(route)

    def find(self, method: str, path: Sequence[str]) -> tuple[Route, Mapping[str, str]] | None:
        """Return the route for a method and the segments of a path, with its variables, or None."""
        for route in self._routes.get((method, len(path)), ()):
            variables = route.variables(path)
            if variables is not None:
                return route, variables
        return None
