"""What the kit has to know of PostgreSQL behind the driver pg8000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pg8000.dbapi  # type: ignore[import-untyped]  # it has no types

from .postgresql import PostgreSQLSupport

__all__ = ["PG8000Support"]

_ARGUMENTS = {"HOST": "host", "PORT": "port", "NAME": "database", "USER": "user", "PASSWORD": "password"}


class PG8000Support:
    """The server as for any backend on PostgreSQL; the witness is pg8000's own connection."""

    def __init__(self) -> None:
        known = PostgreSQLSupport()
        self.server, self.database, self.sessions = known.server, known.database, known.sessions
        self.sleep_statement, self._administrator = known.sleep_statement, known.witness

    def witness(self, mapping: Mapping[str, Any]) -> Any:
        connection = pg8000.dbapi.connect(
            **{name: mapping[key] for key, name in _ARGUMENTS.items() if mapping.get(key)}
        )
        connection.autocommit = True
        return connection

    def terminate(self, mapping: Mapping[str, Any], connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT pg_backend_pid()")  # pg8000 keeps what the server said of it to itself
        (pid,) = cursor.fetchone()
        with self._administrator(mapping) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
