# pyright: strict
"""Nothing inherited: the five members are enough, and the driver's classes come through."""

import sqlite3
from typing import Any

from typing_extensions import assert_type

from backend_sdk import Backend, BaseBackend, ConnectionSettings, DatabaseWrapper, normalize


class PlainBackend:
    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def get_connection_params(self) -> str:
        return self.settings.name

    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params, isolation_level=None)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


backend = PlainBackend(ConnectionSettings(name=":memory:"))
declared: Backend[str, sqlite3.Connection, sqlite3.Cursor] = backend
known_class: type[Backend[str, sqlite3.Connection, sqlite3.Cursor]] = PlainBackend

wrapper = DatabaseWrapper(backend)
assert_type(wrapper, DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor])
assert_type(wrapper.connection, sqlite3.Connection)
assert_type(wrapper.cursor(), sqlite3.Cursor)
assert_type(DatabaseWrapper(declared).cursor(), sqlite3.Cursor)
assert_type(normalize(backend), BaseBackend[Any, Any, sqlite3.Connection, sqlite3.Cursor])
wrapper.close()
