"""Finds the route of a request in the table of ``controllers/v1/__init__.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from karbor_like.api import expose
from karbor_like.api.controllers.base import Controller


@dataclass(frozen=True)
class Route:
    """*method* and *path* (segments in braces are variables; below ``/v1/{project_id}``) lead to ``controller.action``."""

    method: str
    path: str
    controller: type[Controller]
    name: str

    @property
    def segments(self) -> tuple[str, ...]:
        """The path, taken apart."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def action(self) -> expose.Action:
        """What the method asks and gives."""
        return expose.action_of(getattr(self.controller, self.name))

    def variables(self, path: Sequence[str]) -> dict[str, str] | None:
        """The values of the variables if *path* is one of this route's, else None."""
        found = {}
        for mine, given in zip(self.segments, path, strict=True):
            if mine.startswith("{"):
                found[mine.strip("{}")] = given
            elif mine != given:
                return None
        return found


class Router:
    """The table, sorted by method and number of segments. Order within the table decides between routes that both match."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes: dict[tuple[str, int], list[Route]] = {}
        for route in routes:
            expose.action_of(getattr(route.controller, route.name))
            self._routes.setdefault((route.method, len(route.segments)), []).append(route)

    def find(self, method: str, path: Sequence[str]) -> tuple[Route, Mapping[str, str]] | None:
        """The route for *method* and the segments of a path, and its variables; None where there is none."""
        for route in self._routes.get((method, len(path)), ()):
            variables = route.variables(path)
            if variables is not None:
                return route, variables
        return None
