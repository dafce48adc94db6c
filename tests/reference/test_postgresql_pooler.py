"""PostgreSQL behind PgBouncer: transaction mode refuses what it would leak or lose, session mode is as without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from backend_sdk import (
    DatabaseError,
    DatabaseWrapper,
    ImproperlyConfigured,
    NotSupportedError,
    SupportsReadOnly,
    TransactionStatus,
)
from conformance.servers.pgbouncer import PgBouncer
from conformance.servers.postgresql import PostgreSQLServer
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLCursor, PostgreSQLOptions, PostgreSQLSettings
from tests.servers.fixtures import or_skip

Wrapper = DatabaseWrapper[psycopg.Connection, PostgreSQLCursor]
OpenThrough = Callable[..., Wrapper]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    with or_skip(PostgreSQLServer) as server:
        yield server


@pytest.fixture(scope="module")
def urls(server: PostgreSQLServer) -> Iterator[dict[str, str]]:
    """One pooler for each mode; in both, all clients take turns on a single server session."""
    with (
        or_skip(lambda: PgBouncer(server, mode="transaction")) as transaction,
        or_skip(lambda: PgBouncer(server, mode="session")) as session,
    ):
        yield {"transaction": transaction.url(), "session": session.url(), "direct": server.url()}


@pytest.fixture
def open_through(urls: dict[str, str]) -> Iterator[OpenThrough]:
    made: list[Wrapper] = []

    def make(mode: str, **options: object) -> Wrapper:
        if mode != "direct":
            options["pooler"] = mode
        settings = PostgreSQLSettings.from_url(urls[mode])
        changed = PostgreSQLOptions.model_validate(options)
        made.append(DatabaseWrapper(PostgreSQLBackend(settings.derive(options=changed))))
        return made[-1]

    yield make
    for wrapper in made:
        wrapper.close()


def value(wrapper: Wrapper, query: str) -> object:
    with wrapper.cursor() as cursor:
        row = cursor.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_one_clients_role_is_seen_by_another_where_nobody_refuses_it(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["transaction"], autocommit=True) as first:
        with psycopg.connect(urls["transaction"], autocommit=True) as second:
            first.execute("SET ROLE pg_monitor")
            assert second.execute("SHOW role").fetchone() == ("pg_monitor",)
        first.execute("RESET ROLE")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"role": "r"}, "role"),
        ({"search_path": "a"}, "search_path"),
        ({"statement_timeout": 1}, "statement_timeout"),
        ({"lock_timeout": 1}, "lock_timeout"),
        ({"lock_timeout": 0}, "lock_timeout"),  # a setting too
        ({"idle_in_transaction_session_timeout": 1}, "idle_in_transaction_session_timeout"),
        ({"isolation_level": "serializable"}, "isolation_level"),
        ({"read_only": True}, "read_only"),
        ({"session_settings": {"work_mem": 64}}, "session_settings"),
        ({"prepare_threshold": 5}, "prepare_threshold"),
    ],
)
def test_transaction_mode_refuses_session_options_with_the_reason(options: dict[str, object], name: str) -> None:
    mapping = {"NAME": "d", "OPTIONS": {"pooler": "transaction", **options}}
    with pytest.raises(ImproperlyConfigured, match=f"{name} is refused: .*another client") as caught:
        PostgreSQLSettings.from_mapping(mapping)
    assert "transaction_settings" in str(caught.value) or "leave it out" in str(caught.value)


def test_transaction_mode_refuses_a_time_zone_with_the_reason() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"TIME_ZONE is refused: .*transaction_settings"):
        PostgreSQLSettings.from_mapping({"NAME": "d", "TIME_ZONE": "UTC", "OPTIONS": {"pooler": "transaction"}})


@pytest.mark.parametrize("server_side_binding", [True, False])
@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE pg_monitor", " set search_path = a", "SET SESSION work_mem = 64", "RESET ALL", "LISTEN c",
        "UNLISTEN *",
        "DISCARD ALL", "PREPARE p AS SELECT 1", "DEALLOCATE ALL", "SELECT 1; LISTEN c",
        "/* tag */ -- two\nLISTEN c", "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1)", "CREATE TEMP TABLE t ()", "CREATE TEMPORARY TABLE t (id int)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT set_config('role', 'r', false)",
    ],
)  # fmt: skip
def test_transaction_mode_refuses_session_statements_unsent(
    open_through: OpenThrough, statement: LiteralString, server_side_binding: bool
) -> None:
    cursor = open_through("transaction", server_side_binding=server_side_binding).cursor()
    forms: list[Any] = [statement, statement.encode(), sql.SQL(statement)]
    for form in forms:
        with pytest.raises(NotSupportedError, match="refused, since"):
            cursor.execute(form)
    with pytest.raises(NotSupportedError, match="refused, since"):
        cursor.executemany(statement.encode(), [])
    with pytest.raises(NotSupportedError, match="refused, since"):
        list(cursor.stream(statement.encode()))


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL work_mem = 64", "SET TRANSACTION READ ONLY", "SET CONSTRAINTS ALL DEFERRED",
        "SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_xact_lock(1)", "NOTIFY c",
        "CREATE TEMP TABLE t (id int) ON COMMIT DROP", "SELECT set_config('work_mem', '64', true)", "SELECT 'LISTEN c'",
        "UPDATE pg_description SET description = '' WHERE false", "DECLARE c CURSOR FOR SELECT 1",
    ],
)  # fmt: skip
def test_transaction_mode_takes_what_ends_with_the_transaction(open_through: OpenThrough, statement: str) -> None:
    wrapper = open_through("transaction")
    with wrapper.atomic():
        wrapper.cursor().execute(statement.encode())


def test_transaction_mode_declares_and_offers_no_session_abilities(open_through: OpenThrough) -> None:
    wrapper = open_through("transaction")
    assert SupportsReadOnly not in wrapper.backend.abilities
    with pytest.raises(NotSupportedError, match="READ ONLY"):
        wrapper.set_read_only(True)
    with pytest.raises(NotSupportedError, match=r"named cursor outside of atomic\(\) is refused"):
        wrapper.named_cursor("n")
    with wrapper.atomic(), wrapper.named_cursor("n") as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_transaction_settings_hold_in_the_block_and_leak_to_nobody(open_through: OpenThrough) -> None:
    ours = open_through("transaction", transaction_settings={"role": "pg_monitor", "search_path": "a"})
    theirs = open_through("transaction")
    with ours.atomic():
        assert value(ours, "SHOW role") == "pg_monitor"
        assert value(ours, "SHOW search_path") == "a"
    assert value(theirs, "SHOW role") == "none"
    assert value(theirs, "SHOW search_path") == '"$user", public'


def test_statements_run_often_are_not_prepared_in_transaction_mode(open_through: OpenThrough) -> None:
    clients = [open_through("transaction") for _ in range(2)]
    for _ in range(10):
        assert [value(client, "SELECT 41 + 1") for client in clients] == [42, 42]
    assert value(clients[0], "SELECT count(*) FROM pg_prepared_statements") == 0


def test_reset_in_transaction_mode_ends_the_transaction_and_no_more(open_through: OpenThrough) -> None:
    wrapper = open_through("transaction")
    wrapper.connection.execute("BEGIN")
    wrapper.backend.reset(wrapper.connection)
    wrapper.backend.init_connection_state(wrapper.connection)
    assert wrapper.backend.transaction_status(wrapper.connection) is TransactionStatus.IDLE


@pytest.mark.parametrize("mode", ["session", "direct"])
def test_session_mode_is_as_without_a_pooler(open_through: OpenThrough, mode: str) -> None:
    wrapper = open_through(
        mode, role="pg_monitor", search_path="a", statement_timeout=5, prepare_threshold=0, read_only=True
    )
    names = ("role", "search_path", "statement_timeout", "transaction_read_only")
    expected = ["pg_monitor", '"a"', "5s", "on"]
    for _ in range(2):
        assert [value(wrapper, f"SHOW {name}") for name in names] == expected
        wrapper.backend.reset(wrapper.connection)
        wrapper.backend.init_connection_state(wrapper.connection)
    with wrapper.atomic(), pytest.raises(DatabaseError), wrapper.atomic():
        value(wrapper, "SELECT 1/0")
    with wrapper.named_cursor("n") as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)
    assert wrapper.is_usable()
    wrapper.close()
    assert value(open_through(mode), "SHOW role") == "none"
