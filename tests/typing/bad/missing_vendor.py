"""A backend names its vendor."""

import sqlite3

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(  # error: [call-arg] Missing named argument "vendor"
    BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor],
):
    @override
    def get_connection_params(self) -> str:
        return self.settings.name


# raises: TypeError: vendor
