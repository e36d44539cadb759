"""Queries on services: heartbeats and liveness."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import session as db_session
from karbor_like.db.models import Service


def beat(
    session: orm.Session,
    binary: str,
    host: str,
    process: str | None = None,
    report: Mapping[str, Any] | None = None,
    *,
    keep: float = 60.0,
) -> Service:
    """Record a heartbeat of *binary* on *host*.

    :param process: name of the process, which is unique among those of this binary and host
    :param report: what the process reports of itself, as JSON: ``hung``, a list with the ``name`` and ``seconds`` of each
        thread that hangs; ``rpc``, the version of its RPC; and what only this kind of service reports
    :param keep: seconds after which the reports of other processes, which have ended, are removed
    """
    row = session.execute(
        sa.select(Service).where(Service.binary == binary, Service.host == host).with_for_update()
    ).scalar_one_or_none()
    now = db_session.now(session)
    if row is None:
        row = Service(binary=binary, host=host, created_at=now, updated_at=now)
        session.add(row)
    row.updated_at = now
    if process is not None:
        oldest = (now - timedelta(seconds=keep)).isoformat()
        others = {name: other for name, other in (row.reports or {}).items() if other["at"] >= oldest}
        row.reports = {**others, process: {**(report or {}), "at": now.isoformat()}}
    session.flush()
    return row


def leave(session: orm.Session, binary: str, host: str, process: str) -> None:
    """Remove the report of a process that ends."""
    row = session.execute(
        sa.select(Service).where(Service.binary == binary, Service.host == host).with_for_update()
    ).scalar_one_or_none()
    if row is not None:
        row.reports = {name: report for name, report in (row.reports or {}).items() if name != process}


def hung(service: Service) -> list[str]:
    """Return the threads that hang, by the latest reports of the processes of *service*."""
    return [
        f"{thread['name']} has made no progress for {thread['seconds']} seconds ({process})"
        for process, report in sorted((service.reports or {}).items())
        for thread in report.get("hung", ())
    ]


def has_providers(service: Service) -> bool:
    """Return whether a process of a protection service has loaded a provider. True if none has reported which."""
    reports = (service.reports or {}).values()
    return any(report.get("providers") for report in reports) or not any("providers" in report for report in reports)


def list_all(session: orm.Session, *, host: str | None = None, binary: str | None = None) -> Sequence[Service]:
    """List the services, ordered by id."""
    query = sa.select(Service)
    if host is not None:
        query = query.where(Service.host == host)
    if binary is not None:
        query = query.where(Service.binary == binary)
    return session.execute(query.order_by(Service.id)).scalars().all()


def summaries(session: db_session.Queryable) -> Sequence[Any]:
    """Return the id, binary, times and reports of all services, ordered by id."""
    columns = (Service.id, Service.binary, Service.created_at, Service.updated_at, Service.reports)
    return session.execute(sa.select(*columns).order_by(Service.id)).all()


def get(session: orm.Session, service_id: int) -> Service:
    """Return a service.

    :raises ServiceNotFound: there is no service with this id
    """
    row = session.get(Service, service_id)
    if row is None:
        raise exception.ServiceNotFound(f"service {service_id} could not be found")
    return row


def is_up(session: orm.Session, service: Service, down_seconds: float) -> bool:
    """Return whether the last heartbeat is at most *down_seconds* old, by the database's clock."""
    return db_session.now(session) - (service.updated_at or service.created_at) <= timedelta(seconds=down_seconds)
