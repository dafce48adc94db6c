"""One defect each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, ClassVar

from typing_extensions import override

from conformance.selftest.listing import wrong

from .right import Right, RightConnection, RightCursor


@wrong("API-001", says="apilevel is '1.0'")
class OldLevel(Right):
    """apilevel is of the standard before."""

    apilevel = "1.0"


@wrong("API-001", says="threadsafety is None")
class NoThreadSafety(Right):
    """threadsafety is not declared."""

    threadsafety: Any = None


@wrong("API-001", says="paramstyle is 'dollar'")
class UnknownStyle(Right):
    """paramstyle is none of the five."""

    paramstyle = "dollar"


class _StrayError(sqlite3.Error):
    pass


@wrong("API-002", says="IntegrityError is not derived from DatabaseError")
class StrayException(Right):
    """IntegrityError is derived from Error alone."""

    IntegrityError = _StrayError


@wrong("API-002", says="there is no exception NotSupportedError")
class MissingException(Right):
    """NotSupportedError is missing."""

    NotSupportedError = None


@wrong("API-002", says="DataError is an OperationalError")
class OneClassForTwo(Right):
    """DataError and OperationalError are one class."""

    DataError = sqlite3.OperationalError


class _BareConnection(RightConnection):
    @property
    def Error(self) -> Any:  # noqa: N802 - PEP 249's name
        return OSError


@wrong("API-003", says="connection.Error is not the module's Error")
class OtherExceptionsOnTheConnection(Right):
    """The connection's Error is not the module's."""

    make = _BareConnection


@wrong("API-004", says="there is no constructor Binary")
class NoBinary(Right):
    """There is no Binary."""

    Binary = None


@wrong("API-004", says="Date(2024, 2, 29) raised TypeError")
class DateOfText(Right):
    """Date takes a text."""

    @staticmethod
    def Date(text: str) -> str:  # noqa: N802 - PEP 249's name
        return text


class _Lacking(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "ROWID":
            raise AttributeError(name)
        return super().__getattribute__(name)


@wrong("API-005", says="the module has no ROWID")
class NoTypeObjects(Right, metaclass=_Lacking):
    """A type object is missing."""


@wrong("API-006", says="raised OperationalError")
class WrongStyle(Right):
    """Declares pyformat, and the driver knows no such thing."""

    paramstyle = "pyformat"


class _FormattingCursor(RightCursor):
    @override
    def execute(self, sql: str, parameters: Any = ()) -> Any:
        return super().execute(sql.replace("?", "'%s'") % tuple(parameters) if parameters else sql)


class _FormattingConnection(RightConnection):
    make_cursor = _FormattingCursor


@wrong("API-006", says="near")
class FormatsParameters(Right):
    """Parameters are formatted into the statement."""

    make = _FormattingConnection

    paramstyle = "qmark"


class _Tied(RightConnection):
    _open: ClassVar[list[object]] = []

    @override
    def cursor(self, *_arguments: Any, **_named: Any) -> Any:
        import threading

        if threading.current_thread() is not threading.main_thread():
            raise sqlite3.ProgrammingError("only the main thread can do this")
        return super().cursor()


@wrong("API-007", says="only the main thread")
class MainThreadOnly(Right):
    """Declares threadsafety 1 and works in the main thread alone."""

    make = _Tied


@wrong("API-008", says="threadsafety is 3, and another thread got ProgrammingError")
class ClaimsThreadSafety(Right):
    """Declares threadsafety 3 over connections that are tied to their thread."""

    threadsafety = 3


class _NoRollback(RightConnection):
    rollback: Any = None


@wrong("API-010", says="the connection has no rollback()")
class WithoutRollback(Right):
    """A connection has no rollback."""

    make = _NoRollback


class _Autocommit(RightConnection):
    def __init__(self, database: str, **_options: Any) -> None:
        super().__init__(database, isolation_level=None)


@wrong("API-011", says="before commit() another connection sees 1 row(s)")
class StartsInAutocommit(Right):
    """Autocommit is on initially."""

    make = _Autocommit


class _OneCommit(RightConnection):
    done = False

    @override
    def commit(self) -> None:
        if not self.done:
            super().commit()
        self.done = True


@wrong("API-011", says="after commit() another connection sees 0 row(s)")
class CommitsOnce(Right):
    """Only a connection's first commit is sent."""

    make = _OneCommit


class _RollbackCommits(RightConnection):
    @override
    def rollback(self) -> None:
        super().commit()


@wrong("API-012", says="the connection itself sees 1 row(s)")
class RollbackCommits(Right):
    """rollback commits."""

    make = _RollbackCommits


class _CommittingClose(RightConnection):
    @override
    def close(self) -> None:
        try:
            super().commit()
        except sqlite3.ProgrammingError:
            pass
        super().close()


@wrong("API-013", says="after close() without commit() another connection sees 1 row(s)")
class CloseCommits(Right):
    """close commits."""

    make = _CommittingClose


class _LenientConnection(RightConnection):
    closed = False

    @override
    def close(self) -> None:
        self.closed = True
        super().close()

    @override
    def commit(self) -> None:
        if not self.closed:
            super().commit()


@wrong("API-014", says="commit() of a closed connection raised nothing")
class CommitAfterClose(Right):
    """commit of a closed connection succeeds in silence."""

    make = _LenientConnection


class _ForeignErrors(RightCursor):
    @override
    def execute(self, *arguments: Any) -> Any:
        try:
            return super().execute(*arguments)
        except sqlite3.OperationalError as error:
            raise ValueError(str(error)) from None


class _ForeignErrorsConnection(RightConnection):
    make_cursor = _ForeignErrors


@wrong("API-015", says="a wrong statement raised builtins.ValueError")
class ForeignErrors(Right):
    """A wrong statement raises ValueError."""

    make = _ForeignErrorsConnection


class _Generalizing(RightCursor):
    @override
    def execute(self, *arguments: Any) -> Any:
        try:
            return super().execute(*arguments)
        except sqlite3.IntegrityError as error:
            raise sqlite3.OperationalError(str(error)) from None


class _GeneralizingConnection(RightConnection):
    make_cursor = _Generalizing


@wrong("API-015", says="a duplicate key raised sqlite3.OperationalError, not IntegrityError")
class NoIntegrityError(Right):
    """A duplicate key raises OperationalError."""

    make = _GeneralizingConnection


class _Zero(RightCursor):
    rowcount: Any = 0


class _ZeroConnection(RightConnection):
    make_cursor = _Zero


@wrong("API-020", says="rowcount of a new cursor is 0")
class NewCursorCountsZero(Right):
    """rowcount is 0 before anything was executed."""

    make = _ZeroConnection


@wrong("API-022", says="rowcount after INSERT is 0 instead of 1")
class RowcountStaysZero(Right):
    """rowcount is never set."""

    make = _ZeroConnection


class _Short(RightCursor):
    @property
    def description(self) -> Any:
        found = super().description
        return found and tuple(column[:2] for column in found)


class _ShortConnection(RightConnection):
    make_cursor = _Short


@wrong("API-021", says="a column's description has 2 items instead of 7")
class ShortDescription(Right):
    """description has two items per column."""

    make = _ShortConnection


class _StaleDescription(RightCursor):
    last: Any = None

    @property
    def description(self) -> Any:
        self.last = super().description or self.last
        return self.last


class _StaleConnection(RightConnection):
    make_cursor = _StaleDescription


@wrong("API-021", says="description after an UPDATE is")
class DescriptionOfBefore(Right):
    """description stays that of the query before."""

    make = _StaleConnection


class _Raising(RightCursor):
    @override
    def fetchone(self) -> Any:
        row = super().fetchone()
        if row is None:
            raise sqlite3.OperationalError("no more rows")
        return row


class _RaisingConnection(RightConnection):
    make_cursor = _Raising


@wrong("API-023", says="no more rows")
class FetchoneRaises(Right):
    """fetchone raises at the end."""

    make = _RaisingConnection


class _Greedy(RightCursor):
    @override
    def fetchmany(self, size: int | None = None) -> Any:
        return super().fetchall() if size is None else super().fetchmany(size)


class _GreedyConnection(RightConnection):
    make_cursor = _Greedy


@wrong("API-024", says="fetchmany() with arraysize 1 returned 5 rows")
class IgnoresArraysize(Right):
    """fetchmany without a size returns everything."""

    make = _GreedyConnection


class _NoneAtTheEnd(RightCursor):
    @override
    def fetchall(self) -> Any:
        return super().fetchall() or None


class _NoneConnection(RightConnection):
    make_cursor = _NoneAtTheEnd


@wrong("API-025", says="at the end: None instead of an empty list")
class FetchallReturnsNone(Right):
    """fetchall returns None where no rows are left."""

    make = _NoneConnection


class _PlainConnection(RightConnection):
    make_cursor = sqlite3.Cursor


@wrong("API-026", says="fetchone() before any execute() raised nothing and returned None")
class FetchesNothing(Right):
    """Fetching before execute returns None."""

    make = _PlainConnection


class _Reopening(RightCursor):
    @override
    def close(self) -> None:
        pass


class _ReopeningConnection(RightConnection):
    make_cursor = _Reopening


@wrong("API-027", says="execute() of a closed cursor raised nothing")
class CursorNeverCloses(Right):
    """A cursor's close does nothing."""

    make = _ReopeningConnection


class _FirstOnly(RightCursor):
    @override
    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        return self.execute(sql, next(iter(parameters)))


class _FirstOnlyConnection(RightConnection):
    make_cursor = _FirstOnly


@wrong("API-028", says="three sets of parameters left [(1,)]")
class ExecutesOne(Right):
    """executemany runs the first set alone."""

    make = _FirstOnlyConnection


class _OneCursor(RightConnection):
    only: Any = None

    @override
    def cursor(self, *_arguments: Any, **_named: Any) -> Any:
        if self.only is None:
            self.only = sqlite3.Connection.cursor(self, _Reopening)
        return self.only


@wrong("API-029", says="a second cursor's query made the first return")
class OneCursorForAll(Right):
    """cursor() returns one and the same."""

    make = _OneCursor
