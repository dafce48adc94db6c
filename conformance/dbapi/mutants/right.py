"""A right PEP 249 module on sqlite3, as a class: the wrong ones are this with one defect."""

from __future__ import annotations

import datetime
import sqlite3
from typing import Any, ClassVar

from typing_extensions import override

__all__ = ["Right", "RightConnection", "RightCursor"]


class RightCursor(sqlite3.Cursor):
    """sqlite3's, with an error for fetching what was never asked."""

    def _require_result(self) -> None:
        if self.description is None:
            raise sqlite3.ProgrammingError("there is no result to fetch from")

    @override
    def fetchone(self) -> Any:
        self._require_result()
        return super().fetchone()

    @override
    def fetchmany(self, size: int | None = None) -> Any:
        self._require_result()
        return super().fetchmany(self.arraysize if size is None else size)

    @override
    def fetchall(self) -> Any:
        self._require_result()
        return super().fetchall()


class RightConnection(sqlite3.Connection):
    make_cursor: ClassVar[type[sqlite3.Cursor]] = RightCursor

    @override
    def cursor(self, *_arguments: Any, **_named: Any) -> Any:
        return super().cursor(self.make_cursor)


class Right:
    """The whole module."""

    apilevel = "2.0"
    threadsafety = 1
    paramstyle = "qmark"
    Error: Any = sqlite3.Error
    Warning: Any = sqlite3.Warning
    InterfaceError: Any = sqlite3.InterfaceError
    DatabaseError: Any = sqlite3.DatabaseError
    DataError: Any = sqlite3.DataError
    OperationalError: Any = sqlite3.OperationalError
    IntegrityError: Any = sqlite3.IntegrityError
    InternalError: Any = sqlite3.InternalError
    ProgrammingError: Any = sqlite3.ProgrammingError
    NotSupportedError: Any = sqlite3.NotSupportedError
    Date: Any = sqlite3.Date
    Time: Any = sqlite3.Time
    Timestamp: Any = datetime.datetime
    DateFromTicks: Any = staticmethod(sqlite3.DateFromTicks)
    TimeFromTicks: Any = staticmethod(sqlite3.TimeFromTicks)
    TimestampFromTicks: Any = staticmethod(sqlite3.TimestampFromTicks)
    Binary: Any = sqlite3.Binary
    STRING: Any = object()  # the driver tells no type codes, so these are equal to none
    BINARY: Any = object()
    NUMBER: Any = object()
    DATETIME: Any = object()
    ROWID: Any = object()
    make: ClassVar[type[sqlite3.Connection]] = RightConnection

    @classmethod
    def connect(cls, database: str) -> Any:
        return sqlite3.connect(database, factory=cls.make)
