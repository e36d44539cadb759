from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from karbor_like.api import next_runs, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import overview as schemas
from karbor_like.db import overview
from karbor_like.db import session as db_session
from karbor_like.db.operations import QUEUED, RUNNING
from karbor_like.policies import overview as rules


class Overview(base.Controller):
    """Totals of the caller's project."""

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self) -> dict[str, Any]:
        """Show the totals of the caller's project.

        They are its objects by status, success rates, sizes and their growth, next runs and last failures.
        """
        project_id, most = self.project_id, schemas.SHOWN_ENTRIES
        with self.deps.database.reader() as session:
            now = db_session.now(session)
            objects = overview.by_status(session, project_id)
            stored = overview.checkpoints(session, project_id)
            waiting = overview.unfinished(session, project_id)
            oldest = now - timedelta(days=max(schemas.WINDOWS))
            answer: dict[str, Any] = {
                **{noun: _counted(counts) for noun, counts in objects.items()},
                "plans": {
                    **_counted(objects["plans"]),
                    "rpo_violated": overview.violated_plans(session, project_id),
                },
                "checkpoints": _counted({row.status: row.number for row in stored}),
                "operations": {
                    **{state: waiting.get(state, 0) for state in (QUEUED, RUNNING)},
                    "newest": _logs(overview.newest_unfinished(session, project_id, most)),
                },
                "success_rates": [_rate(one) for one in overview.rates(session, project_id, now, schemas.WINDOWS)],
                "scheduled_runs": overview.runs(session, project_id, now, schemas.WINDOWS),
                "storage": {name: sum(int(getattr(row, name)) for row in stored) for name in overview.SIZES},
                "growth": [
                    _point(one) for one in overview.growth(session, project_id, stored, now.date(), schemas.GROWTH_DAYS)
                ],
                "last_failures": _logs(overview.last_failures(session, project_id, oldest, most)),
            }
            schedules = overview.next_schedules(session, project_id, most)
        # Not in the transaction: computing the times may take long.
        return {"overview": {**answer, "next_runs": self._next_runs(schedules)[:most]}}

    def _next_runs(self, schedules: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the next runs of schedules, in order of time. The first ones of a project are among those of its first."""
        times = next_runs.NextRuns(self.deps)
        runs = []
        for row in schedules:
            found = times.of(row.trigger_id, row)
            # The database knows the first one.
            for moment in found if found is not None else [row.next_run_at]:
                runs.append((moment, row))
        return [
            {
                "time": views.moment(moment),
                "scheduled_operation_id": row.id,
                **{name: getattr(row, name) for name in ("name", "operation_type", "plan_id", "trigger_id")},
            }
            for moment, row in sorted(runs, key=lambda run: (run[0], run[1].id))
        ]


def _counted(counts: Mapping[str, int]) -> dict[str, Any]:
    return {"total": sum(counts.values()), "by_status": dict(counts)}


def _logs(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [views.operation_log(row) for row in rows]


def _rate(one: overview.Rate) -> dict[str, Any]:
    names = ("days", "operation_type", "ended", "succeeded", "failed", "cancelled", "rate")
    return {name: getattr(one, name) for name in names}


def _point(one: overview.Point) -> dict[str, Any]:
    names = ("checkpoints", *overview.SIZES)
    return {"date": one.day.isoformat(), **{name: getattr(one, name) for name in names}}
