"""A class that inherits nothing lacks a member."""

import sqlite3

from backend_sdk import ConnectionSettings, DatabaseWrapper


class Plain:
    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def get_connection_params(self) -> str:
        return self.settings.name

    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")


DatabaseWrapper(Plain(ConnectionSettings(name="app")))  # error: [arg-type] incompatible type "Plain"
# raises: ImproperlyConfigured: it lacks _cursor
