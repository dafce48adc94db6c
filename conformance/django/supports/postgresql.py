"""PostgreSQL, by any driver of psycopg's kind."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import parse_url

from ...servers.postgresql import postgresql_url
from ...servers.process import wait_until
from ...verdict import CouldNotRun
from ..shelf import Shelf
from .server import ServerSupport

__all__ = ["PostgreSQLSupport", "Preparation"]

Preparation = Callable[[Mapping[str, Any]], None]
"""Makes of a new database, by its settings, what the engine needs."""


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
