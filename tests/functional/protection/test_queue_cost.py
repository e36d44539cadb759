"""The cost of the queue's queries, in steps of SQLite's virtual machine, which do not depend on the host."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import operations, queues
from karbor_like.db.models import Base, Operation
from tests.fixtures.sqlite_steps import steps

_FIRST = datetime(2031, 1, 1, tzinfo=UTC)


def _enqueue(session: orm.Session, number: int, kind: str) -> list[str]:
    """Queue operations of one project, each of another plan."""
    rows = [
        Operation(
            operation_type=kind,
            project_id="project",
            provider_id="provider",
            plan_id=f"plan {each}",
            status="waiting",
            created_at=_FIRST + timedelta(seconds=each),
        )
        for each in range(number)
    ]
    session.add_all(rows)
    session.flush()
    return [row.id for row in rows]


def _steps(number: int, kind: str) -> int:
    """Return the steps to find the first operations and the position of the last one."""
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        ids = _enqueue(session, number, kind)
        with steps(engine) as made:
            assert [row.id for row in operations.due(session, 2, ["provider"])] == ids[:2]
            assert queues.positions(session, ids[-1:]) == {ids[-1]: queues.Position(number, number)}
    engine.dispose()
    return made.number


@pytest.mark.parametrize("kind", ["protect", "copy"])
def test_the_cost_of_a_look_grows_with_the_operations_that_wait_not_with_their_square(kind: str):
    assert _steps(200, kind) < 2.5 * _steps(100, kind)
