"""A backend that inherits nothing: frozen settings and the four methods, over the standard library's driver.

mypy and pyright know its connection and cursor classes through ``DatabaseWrapper``; the conformance kit
judges it as any other::

    python -m conformance examples.structural_backend

What it does not declare it does not have: ``wrapper.atomic()`` says that `SupportsTransactions` is missing.
"""

import sqlite3
from dataclasses import dataclass

from backend_sdk import ConnectionSettings


@dataclass(frozen=True, slots=True)
class StructuralBackend:
    settings: ConnectionSettings

    def get_connection_params(self) -> dict[str, str]:
        return {"database": self.settings.name}

    def get_new_connection(self, params: dict[str, str], /) -> sqlite3.Connection:
        # The wrapper checks the thread itself; the driver's own check would also refuse a finalizer's closing.
        return sqlite3.connect(params["database"], isolation_level=None, check_same_thread=False)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON").close()

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()
