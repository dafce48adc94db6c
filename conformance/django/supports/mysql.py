"""MySQL and MariaDB, by mysqlclient, the drivers that took after it, and MySQL's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import parse_url

from ...servers.mysql import mysql_url
from ...servers.process import wait_until
from .server import ServerSupport

__all__ = ["MySQLSupport"]


class MySQLSupport(ServerSupport):
    """For mysqlclient and the drivers that took after it, and MySQL's own; MySQL and MariaDB."""

    options: ClassVar[Mapping[str, Any]] = {"connect_timeout": 5}

    @contextmanager
    def server(self, _workdir: Path) -> Iterator[Mapping[str, Any]]:
        with mysql_url() as url:
            yield {key: value for key, value in parse_url(url).items() if key != "ENGINE"}

    @override
    def create(self, mapping: Mapping[str, Any], name: str) -> None:
        self.scalar(mapping, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")

    @override
    def drop(self, mapping: Mapping[str, Any], name: str) -> None:
        """Ends what is left of its sessions first: one in a transaction would be waited for."""
        with closing(self.witness(mapping)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
            for (session,) in cursor.fetchall():
                with contextlib.suppress(self.driver.Error):  # it has gone by itself
                    cursor.execute(f"KILL {session}")
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")

    @override
    def witness(self, mapping: Mapping[str, Any]) -> Any:
        names = {"HOST": "host", "PORT": "port", "NAME": "database", "USER": "user", "PASSWORD": "password"}
        arguments = self.arguments(mapping, names)
        if str(arguments.get("host", "")).startswith("/"):  # Django's way to name a socket
            arguments["unix_socket"] = arguments.pop("host")
        if "port" in arguments:
            arguments["port"] = int(arguments["port"])
        try:
            connection = self.driver.connect(**arguments)
        except TypeError:  # a driver that has kept the names of old
            older = {"database": "db", "password": "passwd"}
            connection = self.driver.connect(**{older.get(name, name): value for name, value in arguments.items()})
        if callable(connection.autocommit):
            connection.autocommit(True)
        else:
            connection.autocommit = True
        return connection

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        return int(
            self.scalar(
                mapping,
                "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> connection_id()",
            )
        )

    def terminate(self, mapping: Mapping[str, Any], connection: Any) -> None:
        with closing(connection.cursor()) as cursor:  # not every driver, nor every pool, has thread_id()
            cursor.execute("SELECT connection_id()")
            (session,) = cursor.fetchone()
        self.scalar(mapping, f"KILL {session}")
        left = f"SELECT count(*) FROM information_schema.processlist WHERE id = {session}"
        wait_until(lambda: self.scalar(mapping, left) == 0 or None, "the session's end", timeout=5)

    def readable_options(self) -> tuple[str, list[tuple[Mapping[str, Any], object]]]:
        return "SELECT @conformance", [({"init_command": f"SET @conformance = {number}"}, number) for number in (1, 2)]
