# pyright: strict
"""The usual way: the base class, the driver's keyword arguments as a TypedDict, typed options."""

import sqlite3
from typing import TypedDict

from pydantic import Field
from typing_extensions import assert_type, override

from backend_sdk import BaseBackend, ConnectionSettings, DatabaseWrapper, Options


class LiteOptions(Options, frozen=True):
    timeout: float = Field(default=5.0, ge=0)


class LiteSettings(ConnectionSettings, frozen=True):
    engine: str = "lite"
    options: LiteOptions = LiteOptions()


class LiteParams(TypedDict):
    database: str
    timeout: float


class LiteBackend(BaseBackend[LiteSettings, LiteParams, sqlite3.Connection, sqlite3.Cursor], vendor="lite"):
    @override
    def get_connection_params(self) -> LiteParams:
        return {"database": self.settings.name, "timeout": self.settings.options.timeout}

    @override
    def get_new_connection(self, params: LiteParams, /) -> sqlite3.Connection:
        return sqlite3.connect(**params, isolation_level=None)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        self.execute_statement(connection, "PRAGMA foreign_keys = ON")

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


backend = LiteBackend(LiteSettings(name=":memory:", options=LiteOptions(timeout=1)))
assert_type(backend.settings, LiteSettings)
assert_type(backend.settings.options, LiteOptions)
assert_type(backend.get_connection_params(), LiteParams)

wrapper = DatabaseWrapper(backend)
assert_type(wrapper, DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor])
assert_type(wrapper.connection, sqlite3.Connection)
assert_type(wrapper.cursor(), sqlite3.Cursor)
assert_type(wrapper.copy("other").cursor(), sqlite3.Cursor)
with wrapper.temporary_connection() as cursor:
    assert_type(cursor, sqlite3.Cursor)
wrapper.close()
