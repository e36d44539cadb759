"""Queries on services: heartbeats and liveness."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import session as db_session
from karbor_like.db.models import Service


def beat(session: orm.Session, binary: str, host: str) -> Service:
    """Record a heartbeat of *binary* on *host*."""
    row = session.execute(
        sa.select(Service).where(Service.binary == binary, Service.host == host).with_for_update()
    ).scalar_one_or_none()
    now = db_session.now(session)
    if row is None:
        row = Service(binary=binary, host=host, created_at=now, updated_at=now)
        session.add(row)
    else:
        row.updated_at = now
    session.flush()
    return row


def list_all(session: orm.Session, *, host: str | None = None, binary: str | None = None) -> Sequence[Service]:
    """List the services, ordered by id."""
    query = sa.select(Service)
    if host is not None:
        query = query.where(Service.host == host)
    if binary is not None:
        query = query.where(Service.binary == binary)
    return session.execute(query.order_by(Service.id)).scalars().all()


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
