# pyright: strict
"""A reference backend, subclassed: with its own settings, and without."""

import sqlite3

from typing_extensions import assert_type, override

from backend_sdk import DatabaseWrapper
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor, SQLiteOptions, SQLiteSettings


class SearchOptions(SQLiteOptions, frozen=True):
    tokenizer: str = "unicode61"


class SearchSettings(SQLiteSettings, frozen=True):
    options: SearchOptions = SearchOptions()


class SearchBackend(SQLiteBackend[SearchSettings], vendor="sqlite-search"):
    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        super().configure_connection(connection)
        connection.create_function("tokenizer", 0, self.settings.options.tokenizer.upper)


class AuditedBackend(SQLiteBackend):
    """Vendor and settings are the reference backend's."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        super().init_connection_state(connection)
        self.execute_statement(connection, "PRAGMA secure_delete = ON")


search = SearchBackend(SearchSettings(name=":memory:"))
assert_type(search.settings.options, SearchOptions)
assert_type(DatabaseWrapper(search).cursor(), SQLiteCursor)
assert_type(DatabaseWrapper(search).connection, sqlite3.Connection)

audited = AuditedBackend(SQLiteSettings(name=":memory:"))
assert_type(audited.settings, SQLiteSettings)
assert_type(DatabaseWrapper(audited).cursor(), SQLiteCursor)
assert_type(DatabaseWrapper(audited).connection, sqlite3.Connection)
wrapper = DatabaseWrapper(audited)
with wrapper.cursor() as cursor:  # a cursor class with CheckedCursor in it is a context manager
    assert_type(cursor, SQLiteCursor)
wrapper.close()
