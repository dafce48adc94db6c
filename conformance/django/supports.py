"""What the kit has to know of SQLite, PostgreSQL and MySQL under a Django engine, by the engine's own driver.

The supports for backends of the SDK bring a driver along; an engine has one already, and two copies of a client
library in one process are not always safe (SQLite's locks are not). So these take the engine's ``Database``.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import parse_url

from ..servers.mysql import mysql_url
from ..servers.postgresql import postgresql_url
from ..servers.process import wait_until
from ..supports.sqlite import SQLiteSupport
from ..verdict import CouldNotRun
from .shelf import Shelf

__all__ = ["MySQLSupport", "PostgreSQLSupport", "SQLiteEngineSupport", "support_of", "with_the_drivers"]

Preparation = Callable[[Mapping[str, Any]], None]

_OF_THE_WAY = ("ssl", "gss", "channel_binding", "service", "passfile", "read_default", "unix_socket", "charset")
"""Options that say how the server is reached, by their beginnings: a second session needs them too."""


def support_of(cls: type[Any]) -> object:
    """The support for an engine's wrapper class; None where the kit knows nothing of its database."""
    driver = driver_of(cls)
    if getattr(driver, "sqlite_version", None):
        return SQLiteEngineSupport(driver)
    if not callable(getattr(driver, "connect", None)):
        return None
    if cls.vendor == "postgresql":
        return PostgreSQLSupport(driver, _preparation(cls))
    return MySQLSupport(driver) if cls.vendor == "mysql" else None


def driver_of(cls: type[Any]) -> Any:
    """The driver's own module, where ``Database`` is an object around it: a pool's would lease to the witness too."""
    database = getattr(cls, "Database", None)
    path = getattr(getattr(database, "Error", None), "__module__", "").split(".")
    if isinstance(database, types.ModuleType) or not all(path):
        return database
    outward = (sys.modules.get(".".join(path[:end])) for end in range(len(path), 0, -1))
    return next((module for module in outward if callable(getattr(module, "connect", None))), database)


def _preparation(cls: type[Any]) -> Preparation | None:
    """What Django does to a new database before it migrates it, where the engine has anything to do (PostGIS)."""
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper

    if cls.prepare_database is BaseDatabaseWrapper.prepare_database:
        return None

    def prepare(mapping: Mapping[str, Any]) -> None:
        table = {"ENGINE": "django.db.backends.dummy", **mapping, "OPTIONS": {}}
        wrapper = cls(connections.configure_settings({"default": table})["default"], "default")
        with closing(wrapper):
            wrapper.prepare_database()

    return prepare


def with_the_drivers(support: object, cls: type[Any]) -> object:
    """The author's *support*, and what it has not got the kit's own for the driver."""
    kits = support_of(cls)
    return Layered(support, kits) if support is not None and kits is not None else support or kits


class Layered:
    """An author who adds a method need not repeat the others."""

    def __init__(self, first: object, second: object) -> None:
        self._layers = (first, second)

    def __getattr__(self, name: str) -> Any:
        first, second = self._layers
        return getattr(first if hasattr(first, name) else second, name)


class SQLiteEngineSupport(SQLiteSupport):
    """As for other backends; the witness is of the engine's driver."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    @override
    def witness(self, mapping: Mapping[str, Any]) -> Any:
        return self._driver.connect(mapping["NAME"], isolation_level=None)

    def readable_options(self) -> tuple[str, list[tuple[Mapping[str, Any], object]]]:
        return "PRAGMA busy_timeout", [({"timeout": 1}, 1000), ({"timeout": 3}, 3000)]


class ServerSupport:
    """What both servers have in common."""

    options: ClassVar[Mapping[str, Any]] = {}
    """One option at least, that can be seen to go."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @contextmanager
    def database(self, mapping: Mapping[str, Any], _workdir: Path) -> Iterator[Mapping[str, Any]]:
        """One of its own for each check; where the user may make none, the one that the settings name."""
        name = f"conformance_{secrets.token_hex(4)}"
        try:
            self.create(mapping, name)
        except self.driver.Error:
            with closing(self.witness(mapping)):  # the server answers, so it was the right to make one
                yield {"OPTIONS": self.given_options(mapping)}
            return
        try:
            yield {"NAME": name, "OPTIONS": self.given_options(mapping)}
        finally:
            self.drop(mapping, name)

    def given_options(self, mapping: Mapping[str, Any]) -> dict[str, Any]:
        return dict(mapping.get("OPTIONS") or self.options)

    def create(self, mapping: Mapping[str, Any], name: str) -> None:
        raise NotImplementedError

    def drop(self, mapping: Mapping[str, Any], name: str) -> None:
        raise NotImplementedError

    def witness(self, mapping: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def arguments(self, mapping: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """The driver's connect arguments. Empty is absent: an empty host is another one than none."""
        given = {argument: mapping.get(key) for key, argument in names.items()}
        options = mapping.get("OPTIONS") or {}
        way = {key: value for key, value in options.items() if key.startswith(_OF_THE_WAY)}
        return way | {argument: value for argument, value in given.items() if value}

    def scalar(self, mapping: Mapping[str, Any], statement: str) -> Any:
        with closing(self.witness(mapping)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


class PostgreSQLSupport(ServerSupport):
    """For any driver of psycopg's kind."""

    options: ClassVar[Mapping[str, Any]] = {"application_name": "conformance"}

    def __init__(self, driver: Any, prepare: Preparation | None = None) -> None:
        super().__init__(driver)
        self._prepare = prepare
        self._template = ""
        self._shelf: Shelf | None = None

    @contextmanager
    def server(self, workdir: Path) -> Iterator[Mapping[str, Any]]:
        with postgresql_url() as url:
            mapping = {key: value for key, value in parse_url(url).items() if key != "ENGINE"}
            self._shelf = Shelf(workdir)
            try:
                if self._prepare is not None:  # an extension takes longer to make than a database with it to copy
                    template = f"{self._shelf.prefix}template"
                    self.create(mapping, template)
                    self._prepare({**mapping, "NAME": template})
                    self._template = template
                yield mapping
            finally:
                for name in (*self._shelf.names(), self._template):
                    if name:
                        self.drop(mapping, name)

    @contextmanager
    @override
    def database(self, mapping: Mapping[str, Any], workdir: Path) -> Iterator[Mapping[str, Any]]:
        """On a server of the kit's own choice a check gets what another has left, cleaned."""
        if self._shelf is None:
            with super().database(mapping, workdir) as found:
                yield found
            return
        with self._shelf.place() as place:
            found = {"NAME": place.name, "OPTIONS": self.given_options(mapping)}
            if place.is_made:
                self._clean({**mapping, **found})
            else:
                self.create(mapping, place.name)
                place.made()
            yield found

    def _clean(self, mapping: Mapping[str, Any]) -> None:
        """End the sessions that a check has left, or one that was killed, and drop its tables."""
        mine = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        with closing(self.witness(mapping)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
            cursor.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE tablename LIKE 'conformance%'")
            for (table,) in cursor.fetchall():
                cursor.execute(f"DROP TABLE {table}")
        wait_until(lambda: self.sessions(mapping) == 0 or None, "the end of a check's sessions", timeout=5)

    @override
    def given_options(self, mapping: Mapping[str, Any]) -> dict[str, Any]:
        options = super().given_options(mapping)
        if options.get("pool"):  # its own patience is half a minute, longer than a check may take
            pool = options["pool"]
            options["pool"] = {"timeout": 3.0, **(pool if isinstance(pool, Mapping) else {})}
        return options

    @override
    def create(self, mapping: Mapping[str, Any], name: str) -> None:
        with closing(self.witness(mapping)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("SHOW server_version_num")
            fast = " STRATEGY FILE_COPY" if int(cursor.fetchone()[0]) >= 150000 else ""
            template = f" TEMPLATE {self._template}" if self._template else ""
            cursor.execute(f"CREATE DATABASE {name}{template}{fast}")

    @override
    def drop(self, mapping: Mapping[str, Any], name: str) -> None:
        self.scalar(mapping, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @override
    def witness(self, mapping: Mapping[str, Any]) -> Any:
        names = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
        connection = self.driver.connect(**self.arguments(mapping, names))
        connection.autocommit = True
        return connection

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        return int(
            self.scalar(
                mapping,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
        )

    def terminate(self, mapping: Mapping[str, Any], connection: Any) -> None:
        session = connection.info.backend_pid
        self.scalar(mapping, f"SELECT pg_terminate_backend({session})")
        gone = f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {session})"
        wait_until(lambda: self.scalar(mapping, gone) or None, "the session's end", timeout=5)

    def readable_options(self) -> tuple[str, list[tuple[Mapping[str, Any], object]]]:
        return "SHOW application_name", [({"application_name": name}, name) for name in ("first", "second")]

    def time_zone_statement(self) -> str:
        return "SHOW timezone"

    @contextmanager
    def role(self, mapping: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, str]]:
        """Options that ask for a role, the statement that tells the session's, and what it has to say."""
        name = f"conformance_role_{secrets.token_hex(4)}"
        try:
            self.scalar(mapping, f"CREATE ROLE {name}")
            self.scalar(mapping, f"GRANT {name} TO CURRENT_USER")
        except self.driver.Error as error:
            raise CouldNotRun(f"the user of the settings cannot make a role to try: {error}") from None
        try:
            yield {"assume_role": name}, "SELECT current_user", name
        finally:
            self.scalar(mapping, f"DROP ROLE {name}")

    def expired_pool(self, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        """Changes to the settings with which a connection is too old as soon as it is given back."""
        pool = mapping["OPTIONS"].get("pool")
        if not pool:
            raise CouldNotRun("lacks expired_pool(): the kit knows the maximum lifetime of Django's own pool alone")
        small = {"min_size": 1, "max_size": 1, "max_lifetime": 1e-6}  # so that the next owner gets the same, or waits
        return {"OPTIONS": {**mapping["OPTIONS"], "pool": {**pool, **small}}}


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
