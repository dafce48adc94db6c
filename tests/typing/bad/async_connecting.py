"""A coroutine is no connection."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name

    @override
    async def get_new_connection(self, params: str, /) -> sqlite3.Connection:  # error: [override] Coroutine
        return sqlite3.connect(params)
