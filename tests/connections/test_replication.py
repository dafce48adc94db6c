"""Routing between a real primary and its standby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from backend_sdk import Connections, DatabaseError, WSGIRoute, WSGIScope, route_connections
from conformance.servers.postgresql import PostgreSQLServer
from conformance.servers.process import wait_until

Site = tuple[Connections, dict[str, str]]


@pytest.fixture(name="site")
def make_site(make_postgresql: Callable[..., PostgreSQLServer]) -> Iterator[Site]:
    pytest.importorskip("psycopg")
    primary = make_postgresql()
    standby = make_postgresql(standby_of=primary)
    databases = {"default": primary.url(), "replica": standby.url()}
    handler = Connections(databases)
    with handler["default"].cursor() as cursor:
        cursor.execute("CREATE TABLE visit (name text)")
    wait_until(lambda: count(handler, "pg_class WHERE relname = 'visit'", "replica") or None, "replication")
    yield handler, databases
    handler.close_all()


def count(handler: Connections, table: str, alias: str = "default") -> int:
    with handler[alias].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def on_standby(handler: Connections) -> bool:
    with handler["default"].cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return bool(cursor.fetchone()[0])


def test_reads_are_routed_to_the_standby_which_refuses_to_write(site: Site) -> None:
    handler, _ = site
    routed = route_connections(default="replica", close_connections=True, connections=handler)

    @routed
    def read() -> bool:
        return on_standby(handler)

    assert not on_standby(handler)
    assert read()
    with routed, pytest.raises(DatabaseError, match="read-only"):
        handler["default"].cursor().execute("INSERT INTO visit VALUES ('refused')")
    assert not on_standby(handler)
    assert count(handler, "visit") == 0


def test_requests_write_to_the_primary_and_read_from_the_standby(site: Site) -> None:
    handler, databases = site

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            handler["default"].cursor().execute("INSERT INTO visit VALUES ('Ann')")
        start_response("200 OK", [])
        return [b"standby" if on_standby(handler) else b"primary"]

    shell = WSGIScope(WSGIRoute(app, reads={"default": "replica"}, connections=handler), databases, connections=handler)

    def request(method: str) -> bytes:
        environ: dict[str, Any] = {"REQUEST_METHOD": method}
        setup_testing_defaults(environ)
        body = shell(environ, lambda status, headers: None)
        answer = b"".join(body)
        body.close()  # type: ignore[attr-defined]  # the shell's bodies have one, and servers call it
        return answer

    assert request("POST") == b"primary"
    assert request("GET") == b"standby"
    assert count(handler, "visit") == 1
    wait_until(lambda: count(handler, "visit", "replica") or None, "replication")
