"""``_cursor`` gives back the connection: it has an ``execute`` too."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection  # error: [return-value] got "Connection"
