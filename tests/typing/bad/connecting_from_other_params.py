"""What makes the params and what takes them disagree."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name

    @override
    def get_new_connection(self, params: dict[str, str], /) -> sqlite3.Connection:  # error: [override] Argument 1
        return sqlite3.connect(params["database"])
