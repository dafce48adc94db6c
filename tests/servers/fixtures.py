"""Servers for a whole test run, one of each kind per worker, started when a test first asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from conformance.servers.mysql import MySQLServer
from conformance.servers.mysql import mysql_url as find_mysql
from conformance.servers.pgbouncer import PgBouncer
from conformance.servers.postgresql import PostgreSQLServer
from conformance.servers.postgresql import postgresql_url as find_postgresql
from conformance.servers.process import Unavailable

__all__ = ["make_mysql", "make_pgbouncer", "make_postgresql", "mysql_url", "or_skip", "postgresql_url"]

ServerT = TypeVar("ServerT")
OwnServerT = TypeVar("OwnServerT", MySQLServer, PgBouncer, PostgreSQLServer)


def or_skip(start: Callable[[], ServerT]) -> ServerT:
    """What *start* returns; where the machine has not got the program the test is skipped, or fails if told to."""
    try:
        return start()
    except Unavailable as error:
        if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server and its superuser; tests share it, so each keeps to names of its own."""
    found = find_postgresql()
    url = or_skip(found.__enter__)
    yield url
    found.__exit__(None, None, None)


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    """A MariaDB server and its superuser; tests share it, so each keeps to names of its own."""
    found = find_mysql()
    url = or_skip(found.__enter__)
    yield url
    found.__exit__(None, None, None)


@pytest.fixture
def make_postgresql() -> Iterator[Callable[..., PostgreSQLServer]]:
    """Starts PostgreSQL servers that are the test's own to kill."""
    yield from _maker(PostgreSQLServer)


@pytest.fixture
def make_mysql() -> Iterator[Callable[..., MySQLServer]]:
    """Starts MariaDB servers that are the test's own to kill."""
    yield from _maker(MySQLServer)


@pytest.fixture
def make_pgbouncer() -> Iterator[Callable[..., PgBouncer]]:
    """Puts PgBouncer in front of a server."""
    yield from _maker(PgBouncer)


def _maker(kind: Callable[..., OwnServerT]) -> Iterator[Callable[..., OwnServerT]]:
    made: list[OwnServerT] = []

    def make(*args: object, **options: object) -> OwnServerT:
        server = or_skip(lambda: kind(*args, **options))
        made.append(server)
        return server

    yield make
    for server in reversed(made):
        server.close()
