"""Cursors that go round the checks: shared by the wrong backends of several groups."""

from __future__ import annotations

import sqlite3
from typing import Any

from typing_extensions import override

from ..baseline import BaselineBackend, BaselineCursor

__all__ = ["BypassingCursor", "WithBypassingCursor"]


class BypassingCursor(BaselineCursor):
    """Overrides the checked methods by the driver's own, "for speed"."""

    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        return sqlite3.Cursor.execute(self, *args)

    @override
    def executemany(self, *args: Any) -> Any:
        return sqlite3.Cursor.executemany(self, *args)

    @override
    def fetchone(self) -> Any:
        return sqlite3.Cursor.fetchone(self)

    @override
    def fetchmany(self, size: int | None = 1) -> Any:
        return sqlite3.Cursor.fetchmany(self, size)

    @override
    def fetchall(self) -> Any:
        return sqlite3.Cursor.fetchall(self)

    @override
    def __iter__(self) -> Any:
        return sqlite3.Cursor.__iter__(self)

    @override
    def __next__(self) -> Any:
        return sqlite3.Cursor.__next__(self)


class WithBypassingCursor(BaselineBackend):
    """Its cursors check nothing."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return BypassingCursor(connection)
