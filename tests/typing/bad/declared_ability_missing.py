"""An ability is declared and its method is not there."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings, SupportsPing


class MyBackend(
    SupportsPing[sqlite3.Connection],
    BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor],
    vendor="my",
):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name

    @override
    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


backend = MyBackend(ConnectionSettings(name="app"))  # error: [abstract] abstract attribute "ping"
# raises: TypeError: ping
