"""A required method under another name, which ``@override`` shows."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def create_cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:  # error: [misc] no base method
        return connection.cursor()
