"""The cursor class lacks what every PEP 249 cursor has."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class Rows:
    def fetchone(self) -> object: ...

    def close(self) -> None: ...


class MyBackend(
    BaseBackend[ConnectionSettings, str, sqlite3.Connection, Rows],  # error: [type-var] subtype of "DBAPICursor"
    vendor="my",
):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name
