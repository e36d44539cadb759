"""Operations common to all tables with an id: insert, get, list with paging, update, delete.

A repository is a description (table, error, sort keys, filters), not a connection. Each call takes the session, so that the
caller decides the extent of a transaction. ``project_id=None`` means any project, for administrators and services.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import utils as db_utils
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import session as db_session
from karbor_like.db.models import base

M = TypeVar("M", bound=base.Base)

#: (column name, "asc" | "desc"), most significant first.
Sort = Sequence[tuple[str, str]]
Filter = Callable[[Any, Any], sa.ColumnElement[bool]]


def exact(column: Any, value: Any) -> sa.ColumnElement[bool]:
    """Match columns equal to *value*, or to one of its items if it is a collection."""
    return column.in_(value) if isinstance(value, (list, tuple, set, frozenset)) else column == value


def contains(column: Any, value: str) -> sa.ColumnElement[bool]:
    """Match columns with *value* as a substring; the database decides whether case matters."""
    return sa.cast(column, sa.Text).contains(value, autoescape=True)


def _by_id(query: sa.Select[Any], columns: Any) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the query for the row ``row_id``, of any project and of the project ``of_project``."""
    of_any = query.where(columns["id"] == sa.bindparam("row_id"))
    if "project_id" not in columns:
        return of_any, of_any
    return of_any, of_any.where(columns["project_id"] == sa.bindparam("of_project"))


class Repository(Generic[M]):
    """Description of one table.

    :param model: the mapped class
    :param noun: name of a row in messages
    :param not_found: the error for an id that does not exist or belongs to another project
    :param filters: filter name -> function that compares the column of that name
    :param sort_keys: columns by which a list may be sorted
    """

    def __init__(
        self,
        model: type[M],
        *,
        noun: str,
        not_found: type[exception.NotFound],
        filters: Mapping[str, Filter] | None = None,
        sort_keys: Sequence[str] = ("id", "name", "status", "created_at"),
    ) -> None:
        self.model = model
        self.noun = noun
        self.not_found = not_found
        self.filters = dict(filters or {})
        self.columns = sa.inspect(model).columns
        self.sort_keys = frozenset(sort_keys)
        indexes = sa.inspect(model).local_table.indexes  # type: ignore[attr-defined]
        names = {tuple(column.name for column in index.columns): index.name for index in indexes}
        #: Names of the indexes that have a project's rows, and all rows, in order of creation, or None.
        self._of_project = names.get(("project_id", "created_at", "id"))
        self._of_all = names.get(("created_at", "id"))
        # Built once, because that takes longer than to run them.
        self._objects = _by_id(sa.select(model), self.columns)
        self._rows = _by_id(sa.select(*self.columns), self.columns)

    def insert(self, session: orm.Session, **values: Any) -> M:
        """Add a row; ``created_at`` defaults to the database's time.

        :raises Conflict: the id is in use
        """
        if "created_at" in self.columns:
            values.setdefault("created_at", db_session.now(session))
        row = self.model(**values)
        session.add(row)
        try:
            session.flush()
        except db_exception.DBDuplicateEntry:
            raise exception.Conflict(f"{self.noun} {values.get('id')} already exists") from None
        return row

    def find(self, session: orm.Session, row_id: str, project_id: str | None = None, *, lock: bool = False) -> M | None:
        """Return the row, or None.

        :param lock: lock the row until the transaction ends
        """
        query = self._objects[project_id is not None]
        values = {"row_id": row_id, "of_project": project_id}
        return session.execute(query.with_for_update() if lock else query, values).scalar_one_or_none()

    def get(self, session: orm.Session, row_id: str, project_id: str | None = None, *, lock: bool = False) -> M:
        """Return the row; parameters as for :meth:`find`.

        :raises NotFound: ``not_found`` of this table: there is no such row, or it belongs to another project
        """
        row = self.find(session, row_id, project_id, lock=lock)
        if row is None:
            raise self._missing(row_id)
        return row

    def look_up(self, database: db_session.Database, row_id: str, project_id: str | None = None) -> Any:
        """Return the row as a named tuple of its columns, at a fraction of the cost of :meth:`get` in a session.

        :raises NotFound: as by :meth:`get`
        """
        values = {"row_id": row_id, "of_project": project_id}
        with database.lookup() as connection:
            row = connection.execute(self._rows[project_id is not None], values).one_or_none()
        if row is None:
            raise self._missing(row_id)
        return row

    def _missing(self, row_id: str) -> exception.NotFound:
        return self.not_found(f"{self.noun} {row_id} could not be found")

    def list(
        self,
        session: orm.Session,
        *,
        project_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        where: Sequence[sa.ColumnElement[bool]] = (),
        sort: Sort = (("created_at", "desc"),),
        marker: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        index: str | None = None,
    ) -> Sequence[M]:
        """Return a page of rows in a stable order: *sort*, then creation and id in the direction of the first key.

        :param index: name of an index that has the matching rows in order of creation; by default that of projects, or
            that of all rows if nothing is filtered
        :raises InvalidInput: a filter or sort key is unknown
        :raises NotFound: ``not_found`` of this table: the marker does not exist
        """
        query = session.query(self.model)
        if project_id is not None:
            query = query.filter(self.columns["project_id"] == project_id)
        for name, value in (filters or {}).items():
            if name not in self.filters:
                raise exception.InvalidInput(f"{self.noun}s cannot be filtered by {name!r}; use {sorted(self.filters)}")
            query = query.filter(self.filters[name](self.columns[name], value))
        keys, directions = self._order(sort)
        after = self.get(session, marker, project_id) if marker else None
        if index is None and project_id is not None:
            index = self._of_project
        elif index is None and not filters and not where:
            index = self._of_all
        if after is not None and keys[0] == "created_at" and index is not None:
            # Redundant with the alternatives that paginate_query generates. With this condition and the hint, MariaDB starts
            # to read at the page's first row; without them it scans all rows before it.
            column, value = self.columns["created_at"], after.created_at  # type: ignore[attr-defined]
            query = query.filter(column <= value if directions[0] == "desc" else column >= value)
            for dialect in ("mysql", "mariadb"):
                query = query.with_hint(self.model, f"FORCE INDEX ({index})", dialect)
        query = db_utils.paginate_query(
            query.filter(*where),
            self.model,
            limit,
            keys,
            marker=after,
            sort_dirs=directions,
        )
        return query.offset(offset).all() if offset else query.all()

    def _order(self, sort: Sort) -> tuple[Sequence[str], Sequence[str]]:
        order: dict[str, str] = {}
        for key, direction in sort or (("created_at", "desc"),):
            if key not in self.sort_keys:
                raise exception.InvalidInput(f"{self.noun}s cannot be sorted by {key!r}; use {sorted(self.sort_keys)}")
            # A table without that column (restores have no name) ignores the key; id keeps its order stable.
            if key in self.columns:
                order.setdefault(key, direction)
        first = next(iter(order.values()), sort[0][1] if sort else "desc")
        for key in ("created_at", "id"):
            order.setdefault(key, first)
        return list(order), list(order.values())

    def count(self, session: orm.Session, **equal: Any) -> int:
        """Count the rows that have these values."""
        query = sa.select(sa.func.count()).select_from(self.model)
        return session.execute(query.filter_by(**equal)).scalar_one()

    def update(
        self, session: orm.Session, row_id: str, values: Mapping[str, Any], expected: Mapping[str, Any] | None = None
    ) -> bool:
        """Change a row by compare-and-set: only if it has the *expected* values.

        :returns: whether the row was changed
        """
        changed = dict(values)
        if "updated_at" in self.columns and "updated_at" not in changed:
            changed["updated_at"] = db_session.now(session)
        # Locked and then written through the session, so that listeners on the session see every change (db/changes.py).
        query = sa.select(self.model).where(self.columns["id"] == row_id)
        for name, value in (expected or {}).items():
            query = query.where(exact(self.columns[name], value))
        fresh = query.with_for_update().execution_options(populate_existing=True)
        row = session.execute(fresh).scalar_one_or_none()
        if row is None:
            return False
        row.update(changed)
        session.flush()
        return True

    def delete(self, session: orm.Session, row_id: str) -> bool:
        """Remove a row.

        :returns: whether the row existed
        """
        row = self.find(session, row_id, lock=True)
        if row is None:
            return False
        session.delete(row)
        session.flush()
        return True
