"""What makes the params and what takes them disagree, in a class that inherits nothing."""

import sqlite3

from backend_sdk import Backend, ConnectionSettings


class Plain:
    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    def get_connection_params(self) -> str:
        return self.settings.name

    def get_new_connection(self, params: dict[str, str], /) -> sqlite3.Connection:
        return sqlite3.connect(params["database"])

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


backend: Backend[str, sqlite3.Connection, sqlite3.Cursor]
backend = Plain(ConnectionSettings(name="app"))  # error: [assignment] expression has type "Plain"
