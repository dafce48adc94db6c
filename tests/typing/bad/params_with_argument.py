"""Params come from the settings alone, so the method takes nothing."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor], vendor="my"):
    @override
    def get_connection_params(self, alias: str) -> str:  # error: [override] Signature of "get_connection_params"
        return f"{self.settings.name}-{alias}"

    @override
    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        return sqlite3.connect(params)
