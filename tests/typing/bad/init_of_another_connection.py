"""The session of another driver's connection is set up."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class Socket:
    def send(self, text: str) -> None: ...


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def init_connection_state(self, connection: Socket, /) -> None:  # error: [override] defines the argument type as
        connection.send("SET TIME ZONE 'UTC'")
