"""What the kit has to know of MySQL and MariaDB, for any backend on them: a server, a database per check."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from backend_sdk import parse_url

from ..servers.mysql import mysql_url
from ..servers.process import wait_until

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

    Connection = pymysql.Connection[Cursor]

__all__ = ["MySQLSupport"]


class MySQLSupport:
    """Each check gets a database of its own; the witness is PyMySQL's own connection, as the same user."""

    @contextmanager
    def server(self, _workdir: Path) -> Iterator[Mapping[str, Any]]:
        with mysql_url() as url:
            yield {key: value for key, value in parse_url(url).items() if key != "ENGINE"}

    @contextmanager
    def database(self, mapping: Mapping[str, Any], _workdir: Path) -> Iterator[Mapping[str, Any]]:
        name = f"conformance_{secrets.token_hex(4)}"
        self._scalar(mapping, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield {**mapping, "NAME": name}
        finally:
            self._scalar(mapping, f"DROP DATABASE IF EXISTS {name}")

    def witness(self, mapping: Mapping[str, Any]) -> Connection:
        given: dict[str, Any] = {
            "host": mapping.get("HOST"),
            "port": int(mapping.get("PORT") or 0),
            "database": mapping.get("NAME"),
            "user": mapping.get("USER"),
            "password": mapping.get("PASSWORD"),
            "unix_socket": dict(mapping.get("OPTIONS") or {}).get("unix_socket"),
        }
        return pymysql.connect(autocommit=True, **{key: value for key, value in given.items() if value})

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        query = (
            "SELECT count(*) FROM information_schema.processlist "
            f"WHERE db = '{mapping['NAME']}' AND id <> connection_id()"
        )
        return int(self._scalar(mapping, query))

    def terminate(self, mapping: Mapping[str, Any], connection: Connection) -> None:
        session = connection.thread_id()  # type: ignore[no-untyped-call]  # untyped in the stubs
        self._scalar(mapping, f"KILL {session}")
        # The server answers before the session has ended, which till then may answer too.
        left = f"SELECT count(*) FROM information_schema.processlist WHERE id = {session}"
        wait_until(lambda: self._scalar(mapping, left) == 0 or None, "the session's end", timeout=5)

    def sleep_statement(self, seconds: float) -> str:
        return f"SELECT sleep({seconds})"

    def _scalar(self, mapping: Mapping[str, Any], statement: str) -> Any:
        with closing(self.witness(mapping)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None
