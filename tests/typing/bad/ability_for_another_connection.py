"""The ability is declared for another connection class than the backend's."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings, SupportsIsBroken


class Socket:
    closed = False


class MyBackend(
    SupportsIsBroken[Socket],
    BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor],
    vendor="my",
):
    @override
    def is_broken(self, connection: Socket, /) -> bool:  # error: [override] defines the argument type as
        return connection.closed
