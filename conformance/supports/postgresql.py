"""What the kit has to know of PostgreSQL, for any backend on it: a server, a database per check, its sessions."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from backend_sdk import parse_url

from ..servers.postgresql import postgresql_url

__all__ = ["PostgreSQLSupport"]

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgreSQLSupport:
    """Each check gets a database of its own; the witness is psycopg's own connection, as the same user."""

    @contextmanager
    def server(self, _workdir: Path) -> Iterator[Mapping[str, Any]]:
        with postgresql_url() as url:
            yield {key: value for key, value in parse_url(url).items() if key != "ENGINE"}

    @contextmanager
    def database(self, mapping: Mapping[str, Any], _workdir: Path) -> Iterator[Mapping[str, Any]]:
        name = f"conformance_{secrets.token_hex(4)}"
        self._administer(mapping, f"CREATE DATABASE {name}", and_since_15=" STRATEGY FILE_COPY")  # in half the time
        try:
            yield {**mapping, "NAME": name}
        finally:
            self._administer(mapping, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def witness(self, mapping: Mapping[str, Any]) -> Connection:
        # Empty is absent: an empty host is another one for libpq than none.
        given: dict[str, Any] = {
            "host": mapping.get("HOST"),
            "port": _joined(mapping.get("PORT")),
            "dbname": mapping.get("NAME"),
            "user": mapping.get("USER"),
            "password": mapping.get("PASSWORD"),
        }
        return psycopg.connect(autocommit=True, **{key: value for key, value in given.items() if value})

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        with self.witness(mapping) as connection:
            row = connection.execute(query, (mapping["NAME"],)).fetchone()
        return int(row[0]) if row is not None else 0

    def terminate(self, mapping: Mapping[str, Any], connection: Connection) -> None:
        with self.witness(mapping) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    def sleep_statement(self, seconds: float) -> str:
        return f"SELECT pg_sleep({seconds})"

    def _administer(self, mapping: Mapping[str, Any], statement: str, *, and_since_15: str = "") -> None:
        with self.witness(mapping) as connection:
            if connection.info.server_version >= 150000:
                statement += and_since_15
            connection.execute(statement.encode())


def _joined(port: object) -> str:
    if isinstance(port, tuple | list):
        return ",".join(str(one) for one in port)
    return str(port or "")
