"""What every pool promises on a real server: ours, psycopg_pool's and SQLAlchemy's alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from backend_sdk import (
    ConnectionClosedError,
    DatabaseWrapper,
    ImproperlyConfigured,
    InterfaceError,
    OperationalError,
    TransactionStatus,
)
from conformance.servers.process import wait_until
from reference_backends._pool.owners import current_owner
from reference_backends.pooled import PoolClosed, PooledBackend, PoolOptions, Pools, PoolTimeout
from reference_backends.pooled_psycopg import PsycopgPooledBackend
from reference_backends.pooled_sqlalchemy import SQLAlchemyPooledBackend
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLSettings
from tests.core.fakes import in_thread
from tests.pool.support import Thread, waiting

POOLED = {"ours": PooledBackend, "psycopg_pool": PsycopgPooledBackend, "sqlalchemy": SQLAlchemyPooledBackend}

Make = Callable[..., Any]


@pytest.fixture(name="settings")
def make_settings(postgresql_url: str) -> PostgreSQLSettings:
    name = f"p{uuid4().hex}"
    return PostgreSQLSettings.from_url(postgresql_url).derive(
        options={"application_name": name, "search_path": "pg_catalog", "session_settings": {"my.tenant": "ours"}}
    )


@pytest.fixture(name="observer")
def make_observer(postgresql_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(name="make", params=sorted(POOLED))
def make_pools(request: pytest.FixtureRequest, settings: PostgreSQLSettings) -> Iterator[Make]:
    pools = Pools(background=False)
    made: list[Any] = []

    def make(changed: PostgreSQLSettings | None = None, **options: Any) -> Any:
        backend = POOLED[request.param](
            PostgreSQLBackend(changed or settings), PoolOptions(**{"timeout": 5, **options}), pools=pools
        )
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.pool.close()


def value(wrapper: DatabaseWrapper[Any, Any], query: str) -> Any:
    with wrapper.cursor() as cursor:
        return cursor.execute(query).fetchone()[0]


def run(wrapper: DatabaseWrapper[Any, Any], *statements: str) -> None:
    for statement in statements:
        with wrapper.cursor() as cursor:
            cursor.execute(statement)


def sessions(observer: psycopg.Connection, settings: PostgreSQLSettings) -> int:
    name = settings.options.application_name
    row = observer.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone()
    return row[0] if row else -1


def test_a_session_is_handed_on(make: Make) -> None:
    backend = make(max_size=1)
    first, second = DatabaseWrapper(backend), DatabaseWrapper(backend)
    session = value(first, "SELECT pg_backend_pid()")
    first.close()
    assert value(second, "SELECT pg_backend_pid()") == session
    second.close()


def test_the_next_user_finds_what_the_settings_ask_and_nothing_else(make: Make, observer: psycopg.Connection) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    run(
        wrapper,
        "CREATE TEMPORARY TABLE left_behind (n int)",
        "SET my.tenant = 'another'",
        "SET search_path = public",
        "SET statement_timeout = 12345",
        "SELECT pg_advisory_lock(987654)",
        "LISTEN gossip",
        "PREPARE own AS SELECT 1",
        "BEGIN",
        "SET LOCAL work_mem = '1MB'",
    )
    session = value(wrapper, "SELECT pg_backend_pid()")
    wrapper.close()
    other = DatabaseWrapper(backend)
    assert value(other, "SELECT pg_backend_pid()") == session
    assert value(other, "SELECT to_regclass('pg_temp.left_behind')") is None
    assert value(other, "SHOW my.tenant") == "ours"
    assert value(other, "SHOW search_path") == '"pg_catalog"'
    assert value(other, "SHOW statement_timeout") == "0"
    assert value(other, "SELECT count(*) FROM pg_listening_channels()") == 0
    assert value(other, "SELECT count(*) FROM pg_prepared_statements WHERE from_sql") == 0
    assert other.backend.transaction_status(other.connection) is TransactionStatus.IDLE
    assert observer.execute("SELECT pg_try_advisory_lock(987654)").fetchone() == (True,)
    observer.execute("SELECT pg_advisory_unlock(987654)")
    other.close()


def test_the_client_s_prepared_statements_stay_true(make: Make) -> None:
    backend = make(max_size=1)
    for _ in range(3):
        wrapper = DatabaseWrapper(backend)
        for number in range(8):  # psycopg prepares at the fifth
            with wrapper.cursor() as cursor:
                assert cursor.execute("SELECT %s::int + 1", [number]).fetchone() == (number + 1,)
        wrapper.close()


def test_a_held_cursor_cannot_speak_on_the_next_user_s_session(make: Make) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    cursor = wrapper.cursor()
    wrapper.close()
    other = DatabaseWrapper(backend)
    other.connect()
    with pytest.raises(ConnectionClosedError):
        cursor.execute("SELECT 1")
    other.close()


def test_a_wait_that_is_too_long_ends_in_a_timeout_that_is_no_connect_error(make: Make) -> None:
    backend = make(max_size=1, timeout=0.05)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    with pytest.raises(PoolTimeout) as caught:
        DatabaseWrapper(backend).connect()
    assert caught.value.step == "acquire"
    wrapper.close()
    assert value(wrapper, "SELECT 1") == 1
    wrapper.close()


def test_a_waiter_is_served_when_a_connection_comes_back(make: Make) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    session = value(wrapper, "SELECT pg_backend_pid()")

    def work() -> Any:
        mine = DatabaseWrapper(backend)
        try:
            return value(mine, "SELECT pg_backend_pid()")
        finally:
            mine.close()

    waiter = Thread(work)
    wrapper.close()
    assert waiter.finish() == session


def test_a_session_that_the_server_ended_while_idle_is_replaced(make: Make, observer: psycopg.Connection) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    session = value(wrapper, "SELECT pg_backend_pid()")
    wrapper.close()
    observer.execute("SELECT pg_terminate_backend(%s, 10000)", [session])
    assert value(wrapper, "SELECT pg_backend_pid()") != session
    wrapper.close()


def test_a_session_that_broke_in_use_does_not_come_back(
    make: Make, observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    session = value(wrapper, "SELECT pg_backend_pid()")
    observer.execute("SELECT pg_terminate_backend(%s, 10000)", [session])
    wrapper.close()
    other = DatabaseWrapper(backend)
    assert value(other, "SELECT pg_backend_pid()") != session
    other.close()
    assert sessions(observer, settings) <= 1


def test_a_dead_thread_s_slot_is_not_lost(make: Make) -> None:
    backend = make(max_size=1)
    kept: list[DatabaseWrapper[Any, Any]] = []

    def work() -> None:
        kept.append(DatabaseWrapper(backend))
        kept[0].connect()

    in_thread(work)
    other = DatabaseWrapper(backend)
    assert value(other, "SELECT 1") == 1
    assert not kept[0].is_open
    assert backend.pool.statistics().opened == 1
    other.close()


def test_a_dead_thread_s_session_is_closed_if_somebody_still_holds_it(make: Make) -> None:
    backend = make(max_size=1)
    kept: list[Any] = []

    def work() -> None:
        kept.append(DatabaseWrapper(backend).connection)

    in_thread(work)
    other = DatabaseWrapper(backend)
    assert value(other, "SELECT 1") == 1
    assert other.connection is not kept[0]
    assert kept[0].closed
    other.close()


def test_a_dropped_wrapper_s_slot_is_not_lost(make: Make) -> None:
    backend = make(max_size=1)
    for _ in range(3):
        wrapper = DatabaseWrapper(backend)
        assert value(wrapper, "SELECT 1") == 1
        del wrapper
    assert backend.pool.statistics().opened == 1


def test_a_double_release_is_refused(make: Make) -> None:
    backend = make(max_size=1)
    connection = backend.get_new_connection(backend.get_connection_params())
    backend.close_connection(connection)
    with pytest.raises(InterfaceError, match="released twice"):
        backend.close_connection(connection)


def test_another_database_under_the_same_alias_has_another_pool(make: Make, settings: PostgreSQLSettings) -> None:
    first = DatabaseWrapper(make(max_size=1), "default")
    assert value(first, "SELECT current_database()") == settings.name
    first.close()
    second = DatabaseWrapper(make(settings.derive(name="template1"), max_size=1), "default")
    assert value(second, "SELECT current_database()") == "template1"
    second.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_sessions_of_its_own(make: Make) -> None:
    backend = make(max_size=2)
    wrapper, idle = DatabaseWrapper(backend), DatabaseWrapper(backend)
    parents = {value(wrapper, "SELECT pg_backend_pid()"), value(idle, "SELECT pg_backend_pid()")}
    idle.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mine = [DatabaseWrapper(backend), DatabaseWrapper(backend)]
            sessions = {value(each, "SELECT pg_backend_pid()") for each in mine}
            code = 0 if len(sessions) == 2 and not sessions & parents else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert value(wrapper, "SELECT pg_backend_pid()") in parents
    wrapper.close()
    assert value(idle, "SELECT pg_backend_pid()") in parents
    idle.close()


def test_a_closed_pool_leaves_no_session(
    make: Make, observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    backend = make(max_size=3)
    wrappers = [DatabaseWrapper(backend) for _ in range(3)]
    for wrapper in wrappers:
        wrapper.connect()
    for wrapper in wrappers[1:]:
        wrapper.close()
    backend.pool.close()
    wrappers[0].close()
    wait_until(lambda: True if sessions(observer, settings) == 0 else None, "no session", timeout=10)


def test_statistics_say_what_is_where_and_what_has_been_done(make: Make) -> None:
    backend = make(max_size=3)
    held, idle = DatabaseWrapper(backend), DatabaseWrapper(backend)
    held.connect()
    idle.connect()
    idle.close()
    now = backend.pool.statistics()
    assert (now.max_size, now.size, now.idle, now.leased, now.waiting) == (3, 2, 1, 1, 0)
    assert (now.opened, now.broken, now.resets, now.reclaimed, now.timeouts) == (2, 0, 1, 0, 0)
    held.close()
    assert backend.pool.statistics().idle == 2


def test_warming_up_opens_the_least_number(make: Make, observer: psycopg.Connection, settings: Any) -> None:
    backend = make(min_size=2, max_size=3)
    backend.pool.warm_up()
    assert backend.pool.statistics().size == sessions(observer, settings) == 2


def test_upkeep_fills_up_to_the_least_number_again(
    make: Make, observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    backend = make(min_size=2, max_size=3)
    backend.close_connection(backend.get_new_connection(backend.get_connection_params()))
    backend.pool.upkeep()
    assert backend.pool.statistics().size == sessions(observer, settings) == 2


def test_warming_up_raises_what_the_driver_says(make: Make, settings: PostgreSQLSettings) -> None:
    backend = make(settings.derive(name="nowhere"), min_size=2)
    with pytest.raises((psycopg.OperationalError, OperationalError), match="does not exist"):
        backend.pool.warm_up()


def test_a_server_s_refusal_is_no_timeout_and_costs_no_place(make: Make, settings: PostgreSQLSettings) -> None:
    backend = make(settings.derive(name="nowhere"), max_size=1)
    for _ in range(3):
        with pytest.raises(OperationalError, match="does not exist") as caught:
            DatabaseWrapper(backend).connect()
        assert not isinstance(caught.value, PoolTimeout)
        assert caught.value.step == "connect"
    assert backend.pool.statistics().timeouts == 0


def test_a_timeout_says_pool_size_waiters_and_the_longest_holders(make: Make) -> None:
    backend = make(max_size=1, timeout=0.05)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    with pytest.raises(PoolTimeout, match=r"size 1 of 1, 0 idle, 1 waiting; held longest by thread 'MainThread' for"):
        DatabaseWrapper(backend).connect()
    assert backend.pool.statistics().timeouts == 1
    wrapper.close()


def test_what_a_dead_thread_had_taken_without_a_wrapper_is_closed(
    make: Make, observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    backend = make(max_size=1)
    taken: list[Any] = []
    in_thread(lambda: taken.append(backend.get_new_connection(backend.get_connection_params())))
    for _ in range(2):  # at the first its handle could just be in its finalizer
        backend.pool.upkeep()
    now = backend.pool.statistics()
    assert (now.leased, now.reclaimed) == (0, 1)
    backend.close_connection(taken[0])  # as its user does at last
    wrapper = DatabaseWrapper(backend)
    assert value(wrapper, "SELECT 1") == 1
    assert sessions(observer, settings) == 1
    wrapper.close()


def test_what_was_idle_for_long_is_pinged(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make(max_size=1, ping_after=0)
    pinged: list[Any] = []
    monkeypatch.setattr(PostgreSQLBackend, "ping", lambda _self, connection: pinged.append(connection))
    wrapper = DatabaseWrapper(backend)
    connection = wrapper.connection
    wrapper.close()
    assert wrapper.connection is connection
    assert pinged == [connection]
    wrapper.close()


def test_closing_the_pool_refuses_those_who_wait(make: Make) -> None:
    backend = make(max_size=1)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    waiter = Thread(lambda: DatabaseWrapper(backend).connect())
    waiting(backend, 1)
    backend.pool.close()
    wrapper.close()  # SQLAlchemy's waiter hears of it only now
    with pytest.raises(PoolClosed):
        waiter.finish()


@pytest.mark.parametrize("name", ["psycopg_pool", "sqlalchemy"])
def test_what_another_s_pool_cannot_do_is_refused_with_the_reason(name: str, settings: PostgreSQLSettings) -> None:
    inner = PostgreSQLBackend(settings)
    with pytest.raises(ImproperlyConfigured, match="closes no idle connection for another pool's sake"):
        POOLED[name](inner, pools=Pools(limit=5, background=False))
    pools = Pools(background=False)
    backend = POOLED[name](inner, pools=pools)
    with pytest.raises(ValueError, match="can keep no cap over all pools"):
        pools.set_limit(5)
    assert not backend.pool.evict_one()


def test_sqlalchemy_s_pool_refuses_what_it_would_ignore(settings: PostgreSQLSettings) -> None:
    inner = PostgreSQLBackend(settings)
    with pytest.raises(ImproperlyConfigured, match="closes nothing for being idle"):
        SQLAlchemyPooledBackend(inner, PoolOptions(max_idle=60))
    backend = SQLAlchemyPooledBackend(inner, PoolOptions(timeout=3), pools=Pools(background=False))
    with pytest.raises(ImproperlyConfigured, match="one timeout for everybody, 3 s here"):
        backend.pool.acquire(1)


def test_psycopg_s_pool_never_has_more_than_its_size(
    settings: PostgreSQLSettings, observer: psycopg.Connection
) -> None:
    backend = PsycopgPooledBackend(
        PostgreSQLBackend(settings), PoolOptions(max_size=3, timeout=20), pools=Pools(background=False)
    )

    def work() -> None:
        for _ in range(5):
            wrapper = DatabaseWrapper(backend)
            assert value(wrapper, "SELECT 1") == 1
            wrapper.close()

    threads = [Thread(work) for _ in range(12)]
    for thread in threads:
        thread.finish()
    assert backend.pool.statistics().opened <= 3
    assert sessions(observer, settings) <= 3
    backend.pool.close()


def test_the_least_size_is_filled_up_beside_what_is_leased(make: Make) -> None:
    backend = make(min_size=2, max_size=2, timeout=0.5)
    wrapper = DatabaseWrapper(backend)
    value(wrapper, "SELECT 1")
    backend.pool.upkeep()
    now = backend.pool.statistics()
    assert (now.size, now.leased, now.timeouts) == (2, 1, 0)
    wrapper.close()


def test_who_waits_while_the_pool_is_drained_is_served_all_the_same(make: Make) -> None:
    backend = make(max_size=1)
    held = backend.pool.acquire()
    waiter = Thread(backend.pool.acquire)
    waiting(backend, 1)
    backend.pool.drain()
    backend.pool.release(held)
    connection = waiter.finish()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    backend.pool.release(connection)


def test_what_is_leased_when_the_pool_is_drained_or_closed_is_closed_on_its_return(
    make: Make, observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    for end in ("drain", "close"):
        backend = make(max_size=2)
        wrapper = DatabaseWrapper(backend)
        value(wrapper, "SELECT 1")
        getattr(backend.pool, end)()
        assert backend.pool.size == 1
        wrapper.close()
        assert backend.pool.size == 0, end
        assert wait_until(lambda: sessions(observer, settings) == 0 or None, "its end", timeout=10), end


def test_a_pool_that_is_closed_while_somebody_comes_makes_nothing_for_him(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make(max_size=1)

    def closed_meanwhile() -> Any:
        monkeypatch.undo()
        backend.pool.close()
        return current_owner()

    monkeypatch.setattr("reference_backends._pool.adapted.current_owner", closed_meanwhile)
    monkeypatch.setattr("reference_backends._pool.pool.current_owner", closed_meanwhile)
    with pytest.raises(PoolClosed):
        backend.pool.acquire()
    assert backend.pool.size == 0
    assert getattr(backend.pool, "_inner", None) is None
