"""Settings of a class that inherits nothing are a `ConnectionSettings` too."""

import sqlite3

from backend_sdk import DatabaseWrapper


class Plain:
    @property
    def settings(self) -> dict[str, str]:
        return {"name": "app"}

    def get_connection_params(self) -> str:
        return self.settings["name"]

    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


DatabaseWrapper(Plain())  # error: [arg-type] incompatible type "Plain"
