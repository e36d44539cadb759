"""One search for orphaned resources in the projects of a cloud, as the service user, and their deletion.

The service user signs in to each project, where it needs a role, and sees and deletes what a member of the project does. So
all services are alike, also those without lists of the objects of all projects.
"""

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from karbor_like import exception, watchdog
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.db import operations
from karbor_like.plugins import loader
from karbor_like.plugins.deployable import Deployable, Properties
from karbor_like.plugins.heat.stack import Stack
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.plugins.toolkit import cloud_objects
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.reaper.owners import Owners, Running, find_recorded
from karbor_like.protection.reaper.verdicts import DOUBTFUL, ORPHANED, Standing
from karbor_like.protection.registry import provider_file, providers
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

#: Seconds from its creation in which an object is never an orphaned resource: its operation may be starting.
YOUNGEST: Final = 3600.0
#: The largest age in seconds that a search can ask for.
OLDEST: Final = 10 * 365 * 86400.0
#: Seconds for the deletion of one object.
_PATIENCE: Final = 60.0
#: Before the creation of anything.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
#: Attempts to delete objects that others depend on, each after the deletion of at least one other.
_ROUNDS: Final = 5


@dataclass(frozen=True)
class Finding:
    """A marked object that nothing owns, or about which only a person can decide.

    :param kind: the type, such as "volume"
    :param is_deleted: whether this run deleted it
    :param problem: why it could not be deleted, or None
    """

    project_id: str
    kind: str
    mark: Mark
    standing: Standing
    is_deleted: bool = False
    problem: str | None = None

    def after(self, problem: str | None = None) -> "Finding":
        """Return the finding after an attempt to delete the object, which succeeded if there is no *problem*."""
        return replace(self, is_deleted=problem is None, problem=problem)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        created_at = self.mark.created_at
        return {
            "project_id": self.project_id,
            "type": self.kind,
            "id": self.mark.cloud_id,
            "name": self.mark.name,
            "operation_id": self.mark.operation_id,
            "created_at": created_at.isoformat() if created_at else None,
            "standing": self.standing.value,
            "deleted": self.is_deleted,
            "problem": self.problem,
        }


@dataclass
class Report:
    """The result of a run.

    :param owned: number of marked objects that something owns, or that are too young
    :param problems: what could not be searched, and why
    """

    findings: list[Finding] = field(default_factory=list)
    owned: int = 0
    problems: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the numbers of orphaned resources that remain, by type."""
        remaining = (each.kind for each in self.findings if each.standing in ORPHANED and not each.is_deleted)
        return dict(sorted(Counter(remaining).items()))

    @property
    def is_complete(self) -> bool:
        """Whether everything was searched, and everything deleted that was to be."""
        return not self.problems and all(finding.problem is None for finding in self.findings)


class Reaper:
    """One run.

    :param older_than: seconds since the creation of an object and the end of its operation, from :data:`YOUNGEST` to
        :data:`OLDEST`
    :param delete: the standings whose objects are deleted, of :data:`~karbor_like.protection.reaper.verdicts.ORPHANED`
    :param limit: seconds after which no further list is begun; None: no limit
    :raises InvalidInput: *older_than* is too small or too large
    """

    def __init__(
        self,
        env: ServiceContext,
        *,
        older_than: float,
        delete: Iterable[Standing] = (),
        limit: float | None = None,
    ) -> None:
        if not YOUNGEST <= older_than <= OLDEST:
            raise exception.InvalidInput(
                f"{older_than / 3600:g} hours are no usable age: operations that are starting need their objects; use"
                f" {YOUNGEST / 3600:g} to {OLDEST / 3600:g} hours"
            )
        self._env = env
        self._before: datetime = env.clock.now() - timedelta(seconds=older_than)
        self._delete = ORPHANED.intersection(delete)
        self._end = None if limit is None else env.clock.monotonic() + limit
        self._waiter = Waiter.from_conf(env.conf, env.clock)
        self._waiter.timeout = min(self._waiter.timeout, _PATIENCE)
        self._providers: Sequence[Provider] = ()
        self._report = Report()

    def run(self, projects: Sequence[str]) -> Report:
        """Search the projects, and delete what is to be deleted.

        :raises ConfigurationError: there is no service user
        """
        directory = provider_file.find_directory(self._env.conf)
        paths = sorted(directory.glob("*.conf")) if directory else []
        # Also those that are disabled: a checkpoint in their banks may need an object.
        self._providers, mistakes = providers.check(paths, self._env.clock, disabled=True)
        with contextlib.ExitStack() as stack:
            for provider in self._providers:
                stack.callback(provider.close)
            self._running = Running(self._providers, mistakes)
            self._search_all(projects)
        self._report.problems += self._running.problems
        return self._report

    def _search_all(self, projects: Sequence[str]) -> None:
        kinds = self._kinds()
        for number, project_id in enumerate(projects):
            watchdog.tick()
            if self._is_over():
                self._report.problems.append(f"{len(projects) - number} projects were not searched: the time is over")
                break
            self._search(project_id, kinds)

    def _is_over(self) -> bool:
        return self._end is not None and self._env.clock.monotonic() >= self._end

    def _kinds(self) -> list[type[CloudObjects]]:
        """Return the types of objects that any plugin creates: installed ones, and those of the providers."""
        plugins: list[type[ProtectionPlugin]] = [
            *loader.installed_protections(),
            *(type(plugin) for provider in self._providers for plugin in provider.plugins.values()),
        ]
        found: list[type[CloudObjects]] = [Stack]
        for plugin in plugins:
            found += [*plugin.creates, *plugin.deployables.values()]
        return [kind for kind in dict.fromkeys(found) if kind.scan is not CloudObjects.scan or kind.journal_type]

    def _search(self, project_id: str, kinds: Sequence[type[CloudObjects]]) -> None:
        try:
            clients = self._env.clients.as_service_in(project_id)
        except exception.ConfigurationError:
            raise
        except exception.KarborLikeError as error:
            if not isinstance(error, exception.NotAuthorized) or not self._is_gone(project_id):
                self._problem(project_id, "not searched", error)
            return
        owners = Owners(self._env.database, self._providers, project_id, self._before, self._running)
        found: dict[tuple[str, str], tuple[CloudObjects, Finding]] = {}
        for objects in (_make(kind, clients) for kind in kinds):
            try:
                for mark in self._marks(objects, project_id):
                    standing = owners.judge(mark)
                    if standing in ORPHANED | DOUBTFUL:
                        finding = Finding(project_id, objects.noun, mark, standing)
                        # Several types may show the same object.
                        found.setdefault((objects.noun, mark.cloud_id), (objects, finding))
                    else:
                        self._report.owned += 1
            except exception.Unsupported:
                continue  # the cloud does not have the service
            except exception.KarborLikeError as error:
                self._problem(project_id, f"{objects.noun}s not searched", error)
            except Exception as error:  # noqa: BLE001 - of a plugin; the others are searched
                LOG.exception("project %s: the search for %ss failed", project_id, objects.noun)
                self._report.problems.append(
                    f"project {project_id}: {objects.noun}s not searched: unexpected {type(error).__name__}"
                )
        self._report.problems += [f"project {project_id}: {problem}" for problem in owners.problems]
        self._report.findings += self._reap([*found.values()], owners)

    def _marks(self, objects: CloudObjects, project_id: str) -> Iterator[Mark]:
        for mark in self._recorded(objects, project_id) if objects.journal_type else self._shown(objects):
            watchdog.tick()
            if self._is_over():
                raise exception.Timeout("the time is over")
            if mark is not None:
                yield mark

    def _shown(self, objects: CloudObjects) -> Iterator[Mark | None]:
        """Go through all objects of a type in a project."""
        for current in objects.scan():
            yield objects.mark(current)

    def _recorded(self, objects: CloudObjects, project_id: str) -> Iterator[Mark | None]:
        """Go through the objects of a type that the journals of a project name."""
        for mark in find_recorded(self._env.database, project_id, objects.journal_type or ""):
            try:
                current = self._waiter.call(functools.partial(objects.get, mark.cloud_id))
            except exception.ResourceNotFound:
                yield None
            else:
                yield _marked(objects, current, mark)

    def _reap(self, found: Sequence[tuple[CloudObjects, Finding]], owners: Owners) -> list[Finding]:
        """Delete what is to be deleted of the objects of one project. Return the findings after that.

        What depends on another object was created after it. Where both have the same time, the second one to be deleted is
        tried again. What has no time depends on nothing.
        """
        done = [finding for _, finding in found if finding.standing not in self._delete]
        left = [(objects, finding) for objects, finding in found if finding.standing in self._delete]
        left.sort(key=lambda each: each[1].mark.created_at or _LONG_AGO, reverse=True)
        for _ in range(_ROUNDS):
            before, failed = len(left), []
            for objects, finding in left:
                watchdog.tick()
                result = self._attempt(objects, finding, owners)
                if result is not None and result.problem:
                    failed.append((objects, result))
                elif result is not None:
                    done.append(result)
            left = failed
            if not left or len(left) == before:
                break
        return sorted(
            [*done, *(finding for _, finding in left)], key=lambda finding: (finding.kind, finding.mark.cloud_id)
        )

    def _attempt(self, objects: CloudObjects, finding: Finding, owners: Owners) -> Finding | None:
        """Delete an object unless something owns it by now. Return None if it is not an orphaned resource any more."""
        try:
            current = self._waiter.call(lambda: objects.get(finding.mark.cloud_id))
            mark = _marked(objects, current, finding.mark) if finding.mark.recorded else objects.mark(current)
            if mark is None or owners.judge(mark) is not finding.standing:
                self._report.owned += 1
                return None
            LOG.info("Project %s: deleting orphaned %s %s", finding.project_id, finding.kind, mark)
            cloud_objects.delete(self._waiter, objects, mark.cloud_id)
        except exception.ResourceNotFound:
            pass  # deleted together with another one, or by its operation
        except exception.KarborLikeError as error:
            return finding.after(exception.public_text(error))
        except Exception as error:  # noqa: BLE001 - of a plugin; the others are deleted
            LOG.exception("%s %s: the deletion failed", finding.kind, finding.mark.cloud_id)
            return finding.after(f"unexpected {type(error).__name__}")
        return finding.after()

    def _is_gone(self, project_id: str) -> bool:
        """Return whether Keystone says that a project does not exist. Then nothing in it can be seen or deleted."""
        try:
            with translated(f"project {project_id}"):
                self._env.clients.as_service().keystone().get(f"/projects/{project_id}")
        except exception.NotFound:
            return True
        except exception.KarborLikeError:
            pass
        return False

    def _problem(self, project_id: str, what: str, error: exception.KarborLikeError) -> None:
        self._report.problems.append(f"project {project_id}: {what}: {exception.public_text(error)}")


def find_projects(env: ServiceContext) -> list[str]:
    """Return the projects that have used this installation, as far as the database knows them."""
    with env.database.reader() as session:
        return operations.projects(session)


def find_accessible(env: ServiceContext) -> list[str]:
    """Return the projects in which the service user has a role.

    :raises ConfigurationError: there is no service user
    :raises Unavailable: Keystone does not answer
    """
    with translated("the projects of the service user"):
        listed = env.clients.as_service().keystone().get("/auth/projects").json()["projects"]
    return sorted(str(project["id"]) for project in listed)


def _marked(objects: CloudObjects, current: Any, recorded: Mark) -> Mark | None:
    """Return the mark that a journal has of an object, or None if others use the object."""
    return None if objects.is_used(current) else recorded


def _make(kind: type[CloudObjects], clients: Clients) -> CloudObjects:
    return kind(clients, None, _no_properties) if issubclass(kind, Deployable) else kind(clients)


def _no_properties() -> Properties:
    raise exception.ResourceFailed("there is no template of an orphaned resource")
