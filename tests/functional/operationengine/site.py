"""An operation engine whose steps and clock are under the control of tests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from karbor_like import service
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import ManualClock
from karbor_like.context import RequestContext
from karbor_like.db import trusts
from karbor_like.db.models import Operation, ScheduledOperation, ScheduledRun, Trust
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.db.triggers import TRIGGERS
from karbor_like.operationengine.runner import Runner
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.operationengine.trusts import Trusts
from karbor_like.plugins import loader
from karbor_like.secret import Cipher
from karbor_like.triggers import loader as triggers
from tests.fixtures import configuration
from tests.fixtures.cloud import SandboxCloud
from tests.fixtures.database import migrate

START = datetime(2031, 3, 1, tzinfo=UTC)
HOURLY = {"format": "crontab", "pattern": "0 * * * *", "start_time": "2031-03-01 00:00:00", "window": 900}
PLAN = "9e540000-0000-4000-8000-000000000001"
PROVIDER = "3c1d0000-0000-4000-8000-000000000001"
FOLLOW, RETRY, LEASE = 15, 60, 120
TYPES = triggers.trigger_types()
TIME = TYPES["time"]


def write_configuration(path: Path, cloud: SandboxCloud, **options: Any) -> Path:
    """Write the configuration of an engine, and return its path.

    :param options: see :func:`tests.fixtures.configuration.write_service`
    """
    account = {"auth_type": "v3password", **cloud.credentials("karbor")}
    return configuration.write_service(path, keystone_client={"connect_retries": 0}, service_auth=account, **options)


def context_of(session: Any, **values: Any) -> RequestContext:
    """Return the context of a request of the user of a session.

    :param values: more of it
    """
    return RequestContext(
        user_id=session.get_user_id(),
        project_id=session.get_project_id(),
        auth_token=session.get_token(),
        roles=["member"],
        service_catalog=session.auth.get_access(session).service_catalog.catalog,
        **values,
    )


def insert_schedules(
    database: Database,
    context: RequestContext,
    properties: dict[str, Any],
    after: datetime,
    count: int = 1,
    **values: Any,
) -> list[str]:
    """Insert triggers with one operation each, without the limits of the API, and return the ids of the operations."""

    def work(session: Any) -> list[str]:
        created = []
        for number in range(count):
            trigger = TRIGGERS.insert(
                session,
                project_id=context.project_id,
                name=f"t{number}",
                type="time",
                properties=properties,
                next_run_at=TIME.parse(properties).next(after),
            )
            row = SCHEDULED_OPERATIONS.insert(
                session,
                **{
                    "project_id": context.project_id,
                    "user_id": context.user_id,
                    "name": f"o{number}",
                    "operation_type": "protect",
                    "trigger_id": trigger.id,
                    "plan_id": PLAN,
                    "operation_definition": {"provider_id": PROVIDER, "plan_id": PLAN},
                    **values,
                },
            )
            created.append(row.id)
        return created

    return database.write(work)


def remove(session: Any, operation_id: str) -> str | None:
    """Delete a scheduled operation as the API does, and return the id of its trust if it was released."""
    trust_id = SCHEDULED_OPERATIONS.get(session, operation_id).trust_id
    SCHEDULED_OPERATIONS.delete(session, operation_id)
    return trust_id if trust_id and trusts.release(session, trust_id) else None


class Site:
    """A user's operation that is due every hour, and engines that poll on demand."""

    def __init__(self, cloud: SandboxCloud, clock: ManualClock, directory: Path) -> None:
        self.cloud = cloud
        self.clock = clock
        #: From 0 for the longest delays of retries to 1 for the shortest.
        self.jitter = 1.0
        path = write_configuration(directory / "karbor_like.conf", cloud)
        self.conf = service.configure([], files=[str(path)])
        for name, value in {"follow_interval": FOLLOW, "retry_interval": RETRY, "lease": LEASE}.items():
            self.conf.set_override(name, value, group="operationengine")
        self.database = Database(self.conf)
        migrate(self.database)
        self.context = context_of(cloud.session("alice"))
        self.trusts = self.make_trusts()
        self.scheduler = Scheduler(self.conf, self.database, clock, TYPES)
        self._runners: list[Runner] = []
        self.runner = self.make_runner()

    def make_trusts(self) -> Trusts:
        # No pause: each sweep checks whether released trusts are still used.
        return Trusts(self.database, ClientFactory(self.conf), Cipher.from_conf(self.conf), pause=0)

    def make_runner(self, **types: Any) -> Runner:
        """Create the runner of another engine, with additional operation *types*."""
        all_types = {**loader.operation_types(), **types}
        runner = Runner(
            self.conf, self.database, self.clock, self.make_trusts(), all_types, "here", jitter=lambda: self.jitter
        )
        self._runners.append(runner)
        return runner

    def schedule(self, properties: dict[str, Any] = HOURLY, *, trust: bool = True, **values: Any) -> str:
        """Create a scheduled operation and its trust, and return the id of the operation."""
        (operation,) = insert_schedules(self.database, self.context, properties, self.clock.now(), **values)
        if trust:
            self.trusts.make(self.context, operation)
        return operation

    def unschedule(self, operation: str) -> str | None:
        """Delete a scheduled operation as the API does, and return the id of its trust if it was released."""
        return self.database.write(lambda session: remove(session, operation))

    def due(self) -> ScheduledRun:
        """Advance the clock to the next hour, and return the recorded run."""
        self.clock.advance(3601)
        assert self.scheduler.fire() == 1
        return self.run()

    def step(self, runner: Runner | None = None) -> ScheduledRun:
        """Perform the steps that are due now, and return the newest run."""
        runner = runner or self.runner
        runner.poll()
        runner.wait()
        return self.run()

    def later(self, seconds: float, runner: Runner | None = None) -> ScheduledRun:
        """Advance the clock by *seconds*, perform the steps that are due, and return the newest run."""
        self.clock.advance(seconds)
        return self.step(runner)

    def run(self) -> ScheduledRun:
        """Return the newest run."""
        with self.database.reader() as session:
            return session.execute(sa.select(ScheduledRun).order_by(ScheduledRun.due_at.desc()).limit(1)).scalar_one()

    def operation(self) -> ScheduledOperation:
        with self.database.reader() as session:
            return session.execute(sa.select(ScheduledOperation)).scalar_one()

    def log(self) -> list[Operation]:
        """Return the entries of the operation log."""
        with self.database.reader() as session:
            return list(session.execute(sa.select(Operation).order_by(Operation.created_at)).scalars())

    def trust_rows(self) -> list[Trust]:
        with self.database.reader() as session:
            return list(session.execute(sa.select(Trust)).scalars())

    def close(self) -> None:
        for runner in self._runners:
            runner.stop()
        self.database.dispose()
