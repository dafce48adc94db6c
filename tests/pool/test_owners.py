"""A lease ends with its thread, its task or its scope, whoever still holds the wrapper."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import Connections, DatabaseWrapper, Scopes, ThreadSharingError, allow_blocking
from backend_sdk.errors import Error
from conformance.probes import of_lasting_threads
from reference_backends._pool.owners import here
from tests.core.fakes import in_thread, run_source
from tests.pool.support import Bench, Thread, acquire


def test_a_thread_that_dies_without_closing_loses_its_lease_and_its_cursors() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    kept: list[Any] = []

    def work() -> None:
        wrapper = DatabaseWrapper(backend)
        kept.extend((wrapper, wrapper.cursor()))

    in_thread(work)
    wrapper, cursor = kept
    other = DatabaseWrapper(backend)
    other.connect()  # the only slot there is
    assert not wrapper.is_open
    bench.steps()
    with pytest.raises(Error):
        cursor.execute("SELECT 1")
    assert bench.steps() == []
    assert backend.pool.statistics().reclaimed == 1


def test_a_wrapper_that_other_threads_share_outlives_its_thread() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    kept: list[DatabaseWrapper[Any, Any]] = []

    def work() -> None:
        wrapper = DatabaseWrapper(backend)
        wrapper.inc_thread_sharing()
        wrapper.connect()
        kept.append(wrapper)

    in_thread(work)
    connection = kept[0].connection
    for _ in range(3):
        bench.pools.upkeep()
    assert kept[0].connection is connection
    assert backend.pool.statistics().reclaimed == 0
    del connection
    kept.clear()
    bench.pools.upkeep()
    assert backend.pool.statistics().idle == 1


@pytest.mark.parametrize("kept", ["the wrapper alone", "the connection too"])
def test_a_dead_thread_s_session_is_handed_on_unless_somebody_still_holds_it(kept: str) -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    held: list[Any] = []

    def work() -> None:
        wrapper = DatabaseWrapper(backend)
        held.append(wrapper)
        held.append(wrapper.connection)

    in_thread(work)
    if kept == "the wrapper alone":
        held.pop()
    bench.steps()
    bench.pools.upkeep()
    if kept == "the wrapper alone":
        assert "reset" in bench.steps()
        assert backend.pool.statistics().idle == 1
    else:  # two threads on one connection: drivers crash
        assert bench.steps() == ["is_broken", "close"]
        assert backend.pool.statistics().size == 0


def test_what_a_dead_thread_took_without_a_wrapper_is_closed_since_somebody_may_still_hold_it() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = in_thread(lambda: acquire(backend))
    bench.pools.upkeep()
    bench.pools.upkeep()
    assert connection.closed
    assert backend.pool.statistics().size == 0
    backend.close_connection(connection)  # late, and of no effect on whoever came next
    assert acquire(backend) is not connection


def test_a_later_thread_with_the_same_ident_keeps_its_own_lease() -> None:
    bench = Bench()
    backend = bench.backend(max_size=2)
    kept: list[Any] = []

    def lose() -> int:
        wrapper = DatabaseWrapper(backend)
        wrapper.connect()
        kept.append(wrapper)
        return threading.get_ident()

    ended, checked = threading.Event(), threading.Event()

    def hold() -> bool:
        wrapper = DatabaseWrapper(backend)
        wrapper.connect()
        ended.set()
        checked.wait(20)
        return wrapper.is_open

    in_thread(lose)
    holder = Thread(hold)
    ended.wait(20)
    bench.pools.upkeep()
    bench.pools.upkeep()
    checked.set()
    assert holder.finish()


def test_a_task_that_ends_without_closing_gives_its_lease_back() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    kept: list[Any] = []

    async def job() -> None:
        wrapper = DatabaseWrapper(backend)
        wrapper.connect()
        kept.append(wrapper)

    async def main() -> None:
        with allow_blocking():
            await asyncio.create_task(job())
            await asyncio.sleep(0)  # the done callbacks run
            other = DatabaseWrapper(backend)
            other.connect()
            with pytest.raises((ThreadSharingError, Error)):
                kept[0].cursor()
            assert backend.pool.statistics().reclaimed == 1

    asyncio.run(main())


def test_a_task_s_lease_is_not_the_thread_s_even_if_the_thread_has_acquired_before() -> None:
    bench = Bench()
    backend = bench.backend(max_size=2, timeout=0)
    backend.close_connection(acquire(backend))  # by this thread, so the short way is open to it
    kept: list[Any] = []

    async def job() -> None:
        with allow_blocking():
            wrapper = DatabaseWrapper(backend)
            wrapper.connect()
            kept.append(wrapper)

    asyncio.run(job())
    bench.pools.upkeep()
    assert not kept[0].is_open
    assert backend.pool.statistics().leased == 0


AT_EXIT = """
import threading

from reference_backends._pool import owners, registry
from reference_backends.pooled import PooledBackend
from tests.core.fakes import Driver
from tests.pool.support import ConnectionSettings, Resettable

backend = PooledBackend(Resettable(ConnectionSettings(engine="fake", name="any"), Driver()))
modules = [vars(owners), vars(registry)]
before = [dict(names) for names in modules]


def work():
    backend.close_connection(backend.get_new_connection(backend.get_connection_params()))
    for names in modules:  # as the interpreter leaves them at its exit, when storage of a thread may still be freed
        names.update(dict.fromkeys(name for name in names if not name.startswith("__")))


thread = threading.Thread(target=work)
thread.start()
thread.join()
for names, saved in zip(modules, before, strict=True):
    names.update(saved)
"""


def test_a_thread_s_end_says_nothing_when_the_modules_have_been_emptied() -> None:
    run_source(AT_EXIT)


def test_a_process_that_ends_with_a_lease_says_nothing() -> None:
    run_source(AT_EXIT.split("def work")[0] + "backend.get_new_connection(backend.get_connection_params())\n")


def test_the_end_of_a_scope_ends_its_leases() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    connections = Connections({"default": bench.backend("other")})
    with Scopes(connections)({"default": backend}):
        connections["default"].connect()
        assert backend.pool.statistics().leased == 1
    assert backend.pool.statistics().idle == 1


def test_a_pool_s_wrapper_can_take_an_alias_s_place_in_one_thread() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connections = Connections({"default": bench.backend("other")})
    connections["default"] = DatabaseWrapper(backend)
    connections["default"].connect()
    assert backend.pool.statistics().leased == 1
    elsewhere = in_thread(lambda: connections["default"].backend)
    assert elsewhere != backend
    connections["default"].close()
    assert backend.pool.statistics().idle == 1


def test_a_lease_that_a_borrower_opened_is_its_owner_s() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    wrapper = DatabaseWrapper(backend)
    with wrapper.shared():
        in_thread(wrapper.connect)
    connection = wrapper.connection
    for _ in range(3):
        bench.pools.upkeep()
    assert wrapper.connection is connection
    assert not connection.closed
    assert backend.pool.statistics().reclaimed == 0


def test_a_lease_that_a_borrower_opened_ends_with_its_owner_whom_the_borrower_outlives() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    kept: list[DatabaseWrapper[Any, Any]] = []
    cursors: list[Any] = []
    made, opened, looked = threading.Event(), threading.Event(), threading.Event()

    def own() -> None:
        kept.append(DatabaseWrapper(backend))
        with kept[0].shared():
            made.set()
            opened.wait(20)

    def borrow() -> None:
        made.wait(20)
        cursors.append(kept[0].cursor())
        opened.set()
        looked.wait(20)

    owner, borrower = Thread(own), Thread(borrow)
    owner.finish()
    bench.pools.upkeep()
    assert kept[0].is_open  # the borrower could be inside the driver
    cursors.clear()
    bench.pools.upkeep()
    assert not kept[0].is_open
    assert backend.pool.statistics().reclaimed == 1
    looked.set()
    borrower.finish()


def test_a_task_s_lease_that_a_worker_thread_opened_ends_with_the_task() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    kept: list[DatabaseWrapper[Any, Any]] = []

    async def job() -> None:
        kept.append(DatabaseWrapper(backend))
        with kept[0].shared():
            await asyncio.to_thread(kept[0].connect)
        bench.pools.upkeep()
        assert kept[0].is_open

    async def main() -> None:
        await asyncio.create_task(job())
        bench.pools.upkeep()  # while the worker thread lives on
        assert not kept[0].is_open

    asyncio.run(main())


def test_a_thread_with_the_ident_of_one_that_has_ended_leases_for_itself() -> None:
    backend = Bench().backend(max_size=1, timeout=0, reset="trusted")
    slot = backend.pool._line.slots[0]

    def lease() -> tuple[int, bool]:
        backend.close_connection(acquire(backend))
        connection = acquire(backend)  # the short way
        is_mine = slot.owner is here.owner
        backend.close_connection(connection)
        return threading.get_ident(), is_mine

    ident, _ = in_thread(lease)
    with closing(of_lasting_threads(64, lease)) as leases:
        assert next(is_mine for number, is_mine in leases if number == ident)


BEFORE_ASYNCIO = """
import sys

from backend_sdk import DatabaseWrapper, allow_blocking, make_backend

backend = make_backend({"ENGINE": "pooled", "NAME": sys.argv[1], "OPTIONS": {"wraps": "sqlite3"}})
for _ in range(2):
    backend.close_connection(backend.get_new_connection(backend.get_connection_params()))
assert "asyncio.tasks" not in sys.modules
import asyncio

kept = []


async def job():
    with allow_blocking():
        kept.append(DatabaseWrapper(backend))
        kept[0].connect()
        assert "task" in backend.pool._line.slots[-1].owner.label


asyncio.run(job())
"""


def test_a_task_is_told_from_its_thread_though_asyncio_was_imported_after_the_first_lease(tmp_path: Path) -> None:
    run_source(BEFORE_ASYNCIO.replace("sys.argv[1]", repr(str(tmp_path / "some.db"))))
