# pyright: strict
"""A cursor class of the author's own: checked by the SDK, with rows of a type that the caller sees."""

import sqlite3

from typing_extensions import assert_type, override

from backend_sdk import BaseBackend, CheckedCursor, ConnectionSettings, DatabaseWrapper


class RowCursor(CheckedCursor, sqlite3.Cursor, also=("executescript",)):
    __slots__ = ("_guard",)

    @override
    def fetchone(self) -> sqlite3.Row | None:
        row: sqlite3.Row | None = super().fetchone()
        return row


class RowBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, RowCursor], vendor="rows"):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name

    @override
    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params, isolation_level=None)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> RowCursor:
        cursor = connection.cursor(RowCursor)
        cursor.row_factory = sqlite3.Row
        return cursor


wrapper = DatabaseWrapper(RowBackend(ConnectionSettings(name=":memory:")))
with wrapper.cursor() as cursor:
    assert_type(cursor, RowCursor)
    assert_type(cursor.execute("SELECT 1 AS one"), RowCursor)
    assert_type(cursor.fetchone(), sqlite3.Row | None)
    assert_type(cursor.executescript("SELECT 1"), sqlite3.Cursor)
wrapper.close()
