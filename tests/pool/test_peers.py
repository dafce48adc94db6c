"""What psycopg_pool and sqlalchemy.pool do by themselves: each claim of docs/pools.md on them, shown on the library.

A failure here means that the library has changed: the sentence in the document is to go, and perhaps an adapter's part.
"""

from __future__ import annotations

import inspect
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest
from sqlalchemy.pool import QueuePool

from tests.core.fakes import PATIENCE, in_thread
from tests.pool.support import Thread


@pytest.fixture(name="pool")
def make_pool(postgresql_url: str) -> Iterator[psycopg_pool.ConnectionPool[Any]]:
    url = postgresql_url.partition("?")[0]
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        yield pool


def session(connection: psycopg.Connection) -> int:
    return connection.info.backend_pid


def test_psycopg_pool_does_not_take_back_what_a_dead_thread_had(pool: psycopg_pool.ConnectionPool) -> None:
    kept = in_thread(pool.getconn)
    with pytest.raises(psycopg_pool.PoolTimeout):
        pool.getconn(timeout=0.1)
    pool.putconn(kept)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_psycopg_pool_gives_a_forked_child_the_parent_s_session(pool: psycopg_pool.ConnectionPool) -> None:
    connection = pool.getconn()
    parents = session(connection)
    pool.putconn(connection)
    child = os.fork()
    if child == 0:
        os._exit(0 if session(pool.getconn()) == parents else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_psycopg_pool_reports_a_server_that_refuses_as_a_timeout() -> None:
    with psycopg_pool.ConnectionPool("host=127.0.0.1 port=1", min_size=0, max_size=1) as pool:
        with pytest.raises(psycopg_pool.PoolTimeout) as caught:
            pool.getconn(timeout=0.1)
        assert "refused" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_psycopg_pool_hands_out_the_one_used_longest_ago(postgresql_url: str) -> None:
    with psycopg_pool.ConnectionPool(postgresql_url.partition("?")[0], min_size=2) as pool:
        first, second = pool.getconn(), pool.getconn()
        pool.putconn(first)
        pool.putconn(second)
        assert pool.getconn() is first
        pool.putconn(first)


def test_psycopg_pool_looks_at_nothing_unless_told_to(pool: psycopg_pool.ConnectionPool, postgresql_url: str) -> None:
    with pool.connection() as connection:
        lost = session(connection)
    with psycopg.connect(postgresql_url.partition("?")[0], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [lost])
    with pytest.raises(psycopg.OperationalError), pool.connection() as connection:
        connection.execute("SELECT 1")


def test_psycopg_pool_hands_on_what_the_last_user_set(pool: psycopg_pool.ConnectionPool) -> None:
    with pool.connection() as connection:
        connection.execute("SET my.tenant = 'first'")
    with pool.connection() as connection:
        assert connection.execute("SHOW my.tenant").fetchone() == ("first",)


@pytest.fixture
def queue_pool() -> Iterator[Callable[..., QueuePool]]:
    """Makes them. What they open is closed here: a pool that is merely dropped leaves it to the collector."""
    opened: list[sqlite3.Connection] = []

    def creator() -> Any:
        opened.append(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        return opened[-1]

    yield lambda **options: QueuePool(creator, **{"pool_size": 1, "max_overflow": 0, **options})
    for connection in opened:
        connection.close()


def test_queue_pool_lets_a_newcomer_overtake_who_waits(queue_pool: Callable[..., QueuePool]) -> None:
    pool = queue_pool()
    held = pool.connect()
    waits, served, before = threading.Event(), threading.Event(), sys.getswitchinterval()

    def wait() -> None:
        waits.set()
        pool.connect().close()
        served.set()

    waiter = Thread(wait)
    waits.wait(PATIENCE)
    overtaken = 0
    sys.setswitchinterval(1.0)  # the newcomer is in a hurry
    try:
        for _ in range(50):
            held.close()
            held = pool.connect()
            overtaken += not served.is_set()
    finally:
        sys.setswitchinterval(before)
    held.close()
    waiter.finish()
    assert overtaken > 0


def test_queue_pool_has_one_timeout_and_no_least_size_and_closes_nothing_for_being_idle() -> None:
    assert list(inspect.signature(QueuePool.connect).parameters) == ["self"]
    known = set(inspect.signature(QueuePool.__init__).parameters) | set(
        inspect.signature(QueuePool.__mro__[1]).parameters
    )
    assert not {name for name in known if "idle" in name or "min" in name}


def test_queue_pool_pings_only_by_a_dialect(queue_pool: Callable[..., QueuePool]) -> None:
    pool = queue_pool(pre_ping=True)
    pool.connect().close()
    with pytest.raises(NotImplementedError, match="dialect"):
        pool.connect()


def test_queue_pool_hands_on_what_the_last_user_left(queue_pool: Callable[..., QueuePool]) -> None:
    pool = queue_pool()
    connection = pool.connect()
    connection.cursor().execute("CREATE TEMPORARY TABLE left_behind (n INTEGER)")
    connection.close()
    assert pool.connect().cursor().execute("SELECT count(*) FROM left_behind").fetchone() == (0,)


def test_queue_pool_does_not_take_back_what_a_dead_thread_left_referred_to(
    queue_pool: Callable[..., QueuePool],
) -> None:
    pool = queue_pool(timeout=0.1)
    kept = in_thread(pool.connect)
    with pytest.raises(Exception, match="QueuePool limit"):
        pool.connect()
    kept.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_queue_pool_gives_a_forked_child_the_parent_s_connection(queue_pool: Callable[..., QueuePool]) -> None:
    pool = queue_pool()
    connection = pool.connect()
    connection.cursor().execute("CREATE TABLE mark (n INTEGER)")  # in memory: nobody else's has it
    connection.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            pool.connect().cursor().execute("SELECT n FROM mark")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
