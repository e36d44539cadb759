import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from karbor_like import service
from karbor_like.api import views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import health as schemas
from karbor_like.db import migration, queues, services
from karbor_like.db.models import Service
from karbor_like.policies import health as rules

_NEEDED = (service.PROTECTION_BINARY, service.OPERATION_ENGINE_BINARY)


class Health(base.Controller):
    """Details for operators about the state of all parts of the service."""

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self) -> dict[str, Any]:
        """Show the health of the service: the schema of the database, services with threads that hang, banks and queues.

        The services report it with their heartbeats. Nothing is asked for this answer except the database.
        """
        current = migration.version(self.deps.database)
        schema = {"version": current, "expected": migration.head(), "state": migration.compare(current).value}
        with self.deps.database.reader() as session:
            rows = services.list_all(session)
            alive = {row.id: services.is_up(session, row, self.deps.conf.service.down_time) for row in rows}
            depths = {
                "operations": queues.operations(session),
                "scheduled_runs": queues.scheduled_runs(session, self.deps.clock.now()),
            }
        banks = [bank for row in rows if alive[row.id] for bank in _banks(row)]
        shown = [_service(row, up=alive[row.id]) for row in rows]
        problems = [*_schema_problems(schema), *_service_problems(rows, shown), *_bank_problems(banks)]
        return {
            "health": {
                "healthy": not problems,
                "problems": problems,
                "schema": schema,
                "services": shown,
                "providers": banks,
                "queues": [{"name": name, **dataclasses.asdict(depth)} for name, depth in depths.items()],
            }
        }


def _service(row: Service, *, up: bool) -> dict[str, Any]:
    known = views.service(row, up=up)
    processes = [
        {
            "name": name,
            "reported_at": views.moment(datetime.fromisoformat(report["at"])),
            "hung_threads": report.get("hung", []),
        }
        for name, report in sorted((row.reports or {}).items())
    ]
    return {**{name: known[name] for name in ("id", "binary", "host", "state")}, "processes": processes}


def _banks(row: Service) -> list[dict[str, Any]]:
    return [
        {
            "host": row.host,
            "process": process,
            "provider_id": provider["id"],
            "provider_name": provider["name"],
            "bank": provider["bank"],
            "reason": provider["reason"],
        }
        for process, report in sorted((row.reports or {}).items())
        for provider in report.get("providers", [])
    ]


def _schema_problems(schema: dict[str, Any]) -> list[str]:
    if schema["state"] == migration.Schema.MATCHES:
        return []
    return [
        f"the schema of the database is {schema['state']}: it has version {schema['version'] or 'none'}, this code needs"
        f" {schema['expected']}"
    ]


def _service_problems(rows: Sequence[Service], shown: Sequence[dict[str, Any]]) -> list[str]:
    problems = [f"{row.binary} on {row.host}: {hang}" for row in rows for hang in services.hung(row)]
    # One that is down may be of a host that was removed.
    working = {one["binary"] for one in shown if one["state"] == "up"}
    problems += [f"no {binary} works" for binary in _NEEDED if binary not in working]
    loaded = [row for row in rows if row.binary == service.PROTECTION_BINARY and services.has_providers(row)]
    if service.PROTECTION_BINARY in working and not loaded:
        problems.append(f"no {service.PROTECTION_BINARY} has loaded a provider")
    return problems


def _bank_problems(banks: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"the bank of provider {bank['provider_name']} is unreachable from {bank['host']}: {bank['reason']}"
        for bank in banks
        if bank["bank"] == "unreachable"
    ]
