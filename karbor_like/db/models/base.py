"""Declarative base and column types of all tables."""

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm
from sqlalchemy.dialects import mysql


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """Column type for times: timezone-aware UTC in Python, naive UTC with microseconds in the database."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


#: Maximum length of a reason, in characters: MySQL's TEXT holds that many of any kind, and refuses a longer one.
MAX_REASON: Final = 16000


def cut(reason: str | None) -> str | None:
    """Return a reason as it is stored."""
    return None if reason is None else reason[:MAX_REASON]


class Reason(sa.types.TypeDecorator[str]):
    """Column type for informational texts, such as why something failed. The end of a text that is too long is cut off.

    One text may name all resources of an operation, and its object must reach its end nevertheless.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return cut(value)


#: Up to 16 MiB of text on MySQL, where a plain TEXT ends at 64 KiB.
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
Id = sa.String(36)
ProjectId = sa.String(64)
Name = sa.String(255)


class Base(orm.DeclarativeBase):
    """Base of the mapped classes. All tables have a binary collation, so that the three databases sort text alike."""

    __table_args__: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

    def update(self, values: dict[str, Any]) -> None:
        """Set several columns."""
        for name, value in values.items():
            setattr(self, name, value)


def table_args(*extra: sa.schema.SchemaItem) -> tuple[Any, ...]:
    """Combine indexes and constraints with the table options of the base."""
    return (*extra, Base.__table_args__)


def new_id() -> str:
    """Return a random UUID as text."""
    return uuidutils.generate_uuid()
