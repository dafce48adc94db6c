"""A forked child leaves the parent's sessions alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backend_sdk import ConnectionClosedError, DatabaseWrapper
from backend_sdk.handle import _parked
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings
from tests.core.fakes import run_source
from tests.pool.support import Bench, Thread, acquire, busy, waiting

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def in_child(work: Callable[[], object]) -> None:
    """Run *work* in a forked child; its failure is the test's."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_opens_its_own_and_neither_uses_nor_closes_the_parent_s() -> None:
    bench = Bench()
    backend = bench.backend(max_size=2)
    idle, raw = acquire(backend), acquire(backend)
    backend.close_connection(idle)
    wrapper = DatabaseWrapper(backend)
    cursor = wrapper.cursor()

    def child() -> None:
        assert backend.pool.statistics().size == 0
        fresh = [acquire(backend), acquire(backend)]
        assert idle not in fresh
        assert raw not in fresh
        with pytest.raises(ConnectionClosedError):
            cursor.execute("SELECT 1")
        for inherited in (idle, raw):  # held for good: freeing some drivers' harms the parent
            assert any(each is inherited for each in _parked)
        bench.steps()
        backend.close_connection(raw)
        assert bench.steps() == []
        assert not raw.closed
        assert not idle.closed
        for connection in fresh:
            backend.close_connection(connection)
        assert backend.pool.statistics().idle == 2

    in_child(child)
    assert wrapper.is_open
    wrapper.close()
    assert backend.pool.statistics().idle == 1


def test_a_child_is_not_held_up_by_a_lock_that_another_thread_of_the_parent_held() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    waiter = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with busy(backend.pool._line), bench.pools._lock:
            held.set()
            done.wait(20)

    holder = Thread(hold)
    held.wait(20)
    try:
        in_child(lambda: backend.pool.acquire(0))
    finally:
        done.set()
    holder.finish()
    backend.close_connection(connection)
    waiter.finish()


def test_the_cap_is_the_child_s_own() -> None:
    bench = Bench(limit=1)
    backend = bench.backend(timeout=0)
    acquire(backend)
    in_child(lambda: acquire(backend))


def test_a_child_has_an_upkeep_of_its_own() -> None:
    bench = Bench()
    pools = Pools()
    backend = PooledBackend(bench.backend().wrapped, PoolOptions(max_size=1), pools=pools)
    backend.close_connection(acquire(backend))

    def child() -> None:
        acquire(backend)
        assert pools._thread is not None
        assert pools._thread.is_alive()

    in_child(child)
    pools.close()


def test_a_child_s_end_leaves_a_transaction_of_the_parent_s_intact(tmp_path: Path) -> None:
    backend = PooledBackend(
        SQLiteBackend(SQLiteSettings(name=str(tmp_path / "x.sqlite3"))), pools=Pools(background=False)
    )
    wrapper = DatabaseWrapper(backend)
    wrapper.cursor().execute("CREATE TABLE t (n)")
    with wrapper.atomic():
        wrapper.cursor().execute("INSERT INTO t VALUES (1)")
        in_child(backend.pool.statistics)
    assert wrapper.cursor().execute("SELECT count(*) FROM t").fetchone() == (1,)
    backend.pool.close()


def test_idle_sessions_are_closed_at_the_interpreter_s_exit() -> None:
    code = (
        "import atexit; held = []; atexit.register(lambda: print(held[0].closed))\n"  # the last to be called
        "from backend_sdk import ConnectionSettings\n"
        "from reference_backends.pooled import PooledBackend\n"
        "from tests.core.fakes import Driver\n"
        "from tests.pool.support import Resettable, acquire\n"
        "backend = PooledBackend(Resettable(ConnectionSettings(engine='fake', name='x'), Driver()))\n"
        "held.append(acquire(backend)); backend.close_connection(held[0]); print(held[0].closed)"
    )
    assert run_source(code) == "False\nTrue\n"
