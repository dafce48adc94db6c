"""A right engine that gives its connection back to the pool after each query, and the wrong ones about that."""

from __future__ import annotations

from typing import Any, ClassVar

from conformance.selftest.listing import wrong

from . import pooled

__all__ = ["DatabaseWrapper"]


class ReturningCursor:
    """The cursor whose end is the lease's end."""

    def __init__(self, wrapper: Any, cursor: Any) -> None:
        self._wrapper = wrapper
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def __enter__(self) -> ReturningCursor:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._cursor.close()
        self._wrapper.give_back_early()


class DatabaseWrapper(pooled.DatabaseWrapper):
    def _cursor(self, name: Any = None) -> Any:
        is_first = self.connection is None
        cursor = super()._cursor(name)
        return ReturningCursor(self, cursor) if is_first and not self.in_atomic_block else cursor

    def give_back_early(self) -> None:
        """Where a transaction is open, the connection stays until it has ended."""
        if self.connection is not None and not self.in_atomic_block and self.autocommit:
            self.close()


@wrong("DJLIFE-001", says="a wrapper whose cursor is at work has no connection")
class GivesBackTooEarly(DatabaseWrapper):
    """The lease ends when the cursor is made, and not when it is closed."""

    def _cursor(self, name: Any = None) -> Any:
        cursor = super()._cursor(name)
        self.lease.idle.append(self.connection)
        self.connection = None
        return cursor


@wrong("DJLIFE-001", says="at first, one query opened 2 connections")
class OpensTwice(DatabaseWrapper):
    """The first connection is forgotten for a second one."""

    forgotten: ClassVar[list[Any]] = []

    def connect(self) -> None:
        super().connect()
        self.forgotten.append(self.connection)
        super().connect()


@wrong("DJLIFE-001", says="after its query the wrapper has another connection")
class TakesAnotherAtOnce(DatabaseWrapper):
    """The connection is given back, and another one taken for the query that may come."""

    taken: ClassVar[list[Any]] = []

    def give_back_early(self) -> None:
        self.taken.append(self.connection)
        self.connection = None
        self.ensure_connection()


@wrong("DJLIFE-007", says="16 opens and closes, one after the other, left 16 session(s) open")
class ForgetsAfterTheQuery(DatabaseWrapper):
    """After a query the wrapper has no connection, and neither has the pool."""

    forgotten: ClassVar[list[Any]] = []

    def give_back_early(self) -> None:
        if self.connection is not None:
            self.release()
            self.forgotten.append(self.connection)
            self.connection = None
