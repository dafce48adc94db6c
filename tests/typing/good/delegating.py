# pyright: strict
"""A backend around any other, written once: whatever is inside, its classes come through."""

import logging
import sqlite3
import time
from typing import TypeVar

from typing_extensions import assert_type, override

from backend_sdk import Backend, ConnectionSettings, DatabaseWrapper, DBAPICursor, DelegatingBackend
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor, SQLiteParams, SQLiteSettings

logger = logging.getLogger(__name__)

ParamsT = TypeVar("ParamsT")
ConnT = TypeVar("ConnT")
CursorT = TypeVar("CursorT", bound=DBAPICursor)


class TimedBackend(DelegatingBackend[ConnectionSettings, ParamsT, ConnT, CursorT], vendor="timed"):
    def __init__(self, wrapped: Backend[ParamsT, ConnT, CursorT]) -> None:
        super().__init__(wrapped, wrapped.settings)

    @override
    def get_new_connection(self, params: ParamsT, /) -> ConnT:
        started = time.monotonic()
        try:
            return super().get_new_connection(params)
        finally:
            logger.debug("%s opened in %.3f s", self.wrapped, time.monotonic() - started)


class Structural:
    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def get_connection_params(self) -> str:
        return self.settings.name

    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


settings = SQLiteSettings(name=":memory:")
around_base = TimedBackend(SQLiteBackend(settings))
assert_type(around_base, TimedBackend[SQLiteParams, sqlite3.Connection, SQLiteCursor])
assert_type(DatabaseWrapper(around_base).connection, sqlite3.Connection)
assert_type(DatabaseWrapper(around_base).cursor(), SQLiteCursor)

around_structural = TimedBackend(Structural(settings))
assert_type(DatabaseWrapper(around_structural).connection, sqlite3.Connection)
assert_type(DatabaseWrapper(around_structural).cursor(), sqlite3.Cursor)

twice = TimedBackend(around_structural)
assert_type(DatabaseWrapper(twice).cursor(), sqlite3.Cursor)

as_it_is = DelegatingBackend[SQLiteSettings, SQLiteParams, sqlite3.Connection, SQLiteCursor](SQLiteBackend(settings))
assert_type(as_it_is.settings, SQLiteSettings)
assert_type(DatabaseWrapper(as_it_is).cursor(), SQLiteCursor)
