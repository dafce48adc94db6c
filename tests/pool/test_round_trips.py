"""How often a pool goes to a PostgreSQL server and back, counted by a proxy; and that the prepared statements stay."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import rows
from typing_extensions import override

from backend_sdk import DatabaseWrapper, SupportsRenew
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLSettings
from tests.servers.proxy import Proxy


class CountingProxy(Proxy):
    """Counts ReadyForQuery, with which the server answers each batch that the client has waited for.

    Source: PostgreSQL's manual, "Message Formats": a letter, then the length of the rest, itself included.
    """

    def __init__(self, port: int) -> None:
        self._trips = 0
        super().__init__(port)

    def trips(self) -> int:
        """How many since the last look."""
        seen, self._trips = self._trips, 0
        return seen

    @override
    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        if not is_answer:
            return super()._carry(source, target, is_answer)
        with suppress(OSError):  # either side is closed at the end
            self._count(source, target)
        return None

    def _count(self, source: socket.socket, target: socket.socket) -> None:
        held = b""
        while data := source.recv(65536):
            held += data
            while len(held) >= 5 and len(held) > (length := int.from_bytes(held[1:5], "big")):
                self._trips += held[:1] == b"Z"
                held = held[length + 1 :]
            target.sendall(data)  # counted before the client can know


@pytest.fixture(name="proxy")
def make_proxy(postgresql_url: str) -> Iterator[CountingProxy]:
    port = PostgreSQLSettings.from_url(postgresql_url).port
    assert isinstance(port, int)
    with CountingProxy(port) as proxy:
        yield proxy


SESSION = {"search_path": "pg_catalog", "session_settings": {"my.tenant": "ours"}, "sslmode": "disable"}


@pytest.fixture(name="make")
def make_backends(postgresql_url: str, proxy: CountingProxy) -> Iterator[Callable[..., Any]]:
    settings = PostgreSQLSettings.from_url(postgresql_url).derive(host="127.0.0.1", port=proxy.port, options=SESSION)
    pools = Pools(background=False)

    def make(cls: Any = PostgreSQLBackend, *, reset: Any = "full", **changes: Any) -> Any:
        return PooledBackend(cls(settings.derive(**changes)), PoolOptions(max_size=1, reset=reset), pools=pools)

    yield make
    pools.close()


def run(backend: Any, *statements: str) -> list[Any]:
    """One lease, and the first value of each statement's result."""
    wrapper: DatabaseWrapper[Any, Any] = DatabaseWrapper(backend)
    found = []
    with wrapper.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            found.append(cursor.fetchone()[0] if cursor.description else None)
    wrapper.close()
    return found


@pytest.mark.parametrize(("reset", "extra"), [("full", 1), ("trusted", 0)])
def test_a_lease_costs_its_statements_and_one_trip_for_reset_and_init_together(
    make: Callable[..., Any], proxy: CountingProxy, reset: str, extra: int
) -> None:
    backend = make(reset=reset)
    run(backend, "SELECT 1")
    proxy.trips()
    for _ in range(3):
        run(backend, "SELECT 1")
    assert proxy.trips() == 3 * (1 + extra)


def test_what_a_user_left_costs_more_only_where_it_must(make: Callable[..., Any], proxy: CountingProxy) -> None:
    backend = make()
    run(backend, "SELECT 1")
    for left, trips in (
        (["SET my.tenant = 'another'"], 1),
        (["BEGIN", "SET LOCAL work_mem = '1MB'"], 2),  # and a rollback
        (["PREPARE own AS SELECT 1"], 2),  # which is deallocated by name
        (["CREATE TEMPORARY TABLE gone (n int)"], 3),  # and psycopg is to forget what it has prepared
    ):
        proxy.trips()
        run(backend, *left)
        assert proxy.trips() == len(left) + trips, left
        assert run(backend, "SHOW my.tenant", "SHOW search_path") == ["ours", '"pg_catalog"']


def test_the_session_without_autocommit_is_renewed_too(make: Callable[..., Any], proxy: CountingProxy) -> None:
    backend = make(autocommit=False)
    run(backend, "SET my.tenant = 'another'")
    assert run(backend, "SHOW my.tenant") == ["ours"]
    assert proxy.trips() > 0


def test_the_client_s_cache_of_prepared_statements_says_what_the_server_has(make: Callable[..., Any]) -> None:
    backend = make()
    for _ in range(8):  # psycopg prepares at the fifth
        run(backend, "SELECT 40 + 2")
    wrapper: DatabaseWrapper[psycopg.Connection[rows.TupleRow], Any] = DatabaseWrapper(backend)
    known = {name.decode() for name in wrapper.connection._prepared._names.values()}
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements", prepare=False)
        at_server = {row[0] for row in cursor.fetchall()}
    wrapper.close()
    assert known == at_server
    assert known


class OwnInit(PostgreSQLBackend):
    """As somebody would add a step."""

    @override
    def init_connection_state(self, connection: psycopg.Connection[rows.TupleRow], /) -> None:
        super().init_connection_state(connection)
        connection.execute("SET my.added = 'too'")


def test_a_subclass_that_adds_to_a_part_of_renew_has_it_called(make: Callable[..., Any]) -> None:
    backend = make(OwnInit)
    assert SupportsRenew in backend.abilities
    run(backend, "SET my.added = 'another'", "SET my.tenant = 'another'")
    assert run(backend, "SHOW my.added", "SHOW my.tenant") == ["too", "ours"]
