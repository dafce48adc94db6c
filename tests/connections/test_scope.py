"""``with scope(databases):`` - which settings hold, who inherits them, and what its end releases."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from backend_sdk import (
    Connections,
    Databases,
    OperationalError,
    Scope,
    ScopeError,
    Scopes,
    TransactionStatus,
    allow_blocking,
    scope_finished,
    scope_started,
)
from backend_sdk.slots import Layer, Place
from tests.connections.tenants import sqlite_tenant, tenant, tenant_name
from tests.core.fakes import PATIENCE, Driver, FakeConnection, Worker, in_thread


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="handler")
def make_handler(driver: Driver) -> Connections:
    return Connections({"default": tenant(driver, "base")})


@pytest.fixture(name="scope")
def make_scopes(handler: Connections) -> Scopes:
    return Scopes(handler)


def named(handler: Connections) -> str:
    return handler["default"].settings.name


def test_a_scope_says_what_the_aliases_stand_for(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver, "a")}):
        assert named(handler) == "a"
    assert named(handler) == "base"


def test_nested_scopes_restore(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver, "a")}):
        outer = handler["default"]
        with scope({"default": tenant(driver, "b")}):
            assert named(handler) == "b"
        assert handler["default"] is outer
        with pytest.raises(LookupError), scope({"default": tenant(driver, "c")}):
            raise LookupError
        assert handler["default"] is outer


def test_a_scope_without_databases_is_over_those_in_force(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope():
        assert named(handler) == "base"
    with scope({"default": tenant(driver, "a")}):
        outer = handler["default"]
        with scope():
            assert named(handler) == "a"
            assert handler["default"] is not outer


def test_two_threads_hold_different_databases_under_one_alias_at_the_same_time(
    handler: Connections, scope: Scopes, tmp_path: Path
) -> None:
    both_inside = threading.Barrier(2, timeout=PATIENCE)

    def serve(name: str) -> tuple[str, str]:
        with scope({"default": sqlite_tenant(tmp_path, name)}):
            both_inside.wait()
            first = tenant_name(handler)
            both_inside.wait()
            return first, tenant_name(handler)

    for name in ("sa", "sb"):
        sqlite_tenant(tmp_path, name)
    one, two = Worker(partial(serve, "sa")), Worker(partial(serve, "sb"))
    assert one.result() == ("sa", "sa")
    assert two.result() == ("sb", "sb")


def test_one_thread_serves_two_settings_one_after_the_other(
    handler: Connections, scope: Scopes, tmp_path: Path
) -> None:
    for name in ("sa", "sb", "sa"):
        with scope({"default": sqlite_tenant(tmp_path, name)}):
            assert tenant_name(handler) == name


def test_the_end_of_a_request_leaves_the_other_threads_alone(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    """R1 ends in T1 while R2 runs in T2."""
    running, go_on = threading.Event(), threading.Event()

    def second() -> bool:
        with scope({"default": tenant(driver, "b")}):
            handler["default"].connect()
            running.set()
            assert go_on.wait(PATIENCE)
            return handler["default"].is_open

    worker = Worker(second)
    assert running.wait(PATIENCE)
    with scope({"default": tenant(driver, "a")}):
        handler["default"].connect()
    go_on.set()
    assert worker.result() is True


def test_its_end_closes_what_it_opened(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver), "replica": tenant(driver, "b")}):
        for wrapper in handler.all():
            wrapper.connect()
        assert len(driver.open_connections) == 2
    assert driver.open_connections == []


def test_its_end_closes_what_no_alias_names_any_more(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver)}):
        kept = handler["default"]
        kept.connect()
        del handler["default"]
    assert driver.open_connections == []
    assert not kept.is_open


def test_a_wrapper_kept_past_the_end_is_refused_and_says_why(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    with scope({"default": tenant(driver)}):
        kept = handler["default"]
        cursor = kept.cursor()
    for use in (kept.cursor, kept.connect, lambda: kept.connection, kept.atomic().__enter__, cursor.fetchone):
        with pytest.raises(ScopeError, match="scope has ended"):
            use()
    kept.close()
    assert len(driver.connections) == 1


def test_a_leftover_transaction_is_rolled_back_before_the_closing(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    with scope({"default": tenant(driver)}):
        handler["default"].atomic().__enter__()
    assert driver.log[-2:] == ["rollback", "close"]


def test_work_done_without_autocommit_is_rolled_back(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver)}):
        handler["default"].set_autocommit(False)
        handler["default"].connection.status = TransactionStatus.IN_TRANSACTION
    assert driver.log[-2:] == ["rollback", "close"]


def test_one_failing_alias_does_not_stop_the_rest(handler: Connections, scope: Scopes, driver: Driver) -> None:
    driver.plan("close", driver.OperationalError("stuck"))

    def serve() -> None:
        with scope({alias: tenant(driver, alias) for alias in ("one", "two", "three")}):
            for wrapper in handler.all():
                wrapper.connect()

    with pytest.raises(OperationalError, match="stuck"):
        serve()
    assert driver.log.count("close") == 3
    assert named(handler) == "base"


def test_a_failing_end_does_not_replace_what_failed_first(handler: Connections, scope: Scopes, driver: Driver) -> None:
    driver.plan("close", driver.OperationalError("stuck"))

    def serve() -> None:
        with scope({"default": tenant(driver)}):
            handler["default"].connect()
            raise LookupError

    with pytest.raises(LookupError) as caught:
        serve()
    assert "stuck" in caught.value.__notes__[0]


@pytest.fixture(name="heard")
def listen() -> Iterator[list[tuple[str, Scope]]]:
    heard: list[tuple[str, Scope]] = []

    def started(scope: Scope) -> None:
        heard.append(("started", scope))

    def finished(scope: Scope) -> None:
        heard.append(("finished", scope))

    scope_started.connect(started)
    scope_finished.connect(finished)
    yield heard
    scope_started.disconnect(started)
    scope_finished.disconnect(finished)


def test_listeners_hear_of_the_beginning_and_the_end(scope: Scopes, heard: list[tuple[str, Scope]]) -> None:
    with scope() as mine:
        assert heard == [("started", mine)]
    assert heard == [("started", mine), ("finished", mine)]
    assert mine.ended


def test_a_failing_listener_keeps_no_other_from_hearing_and_nothing_open(
    handler: Connections, scope: Scopes, driver: Driver, heard: list[tuple[str, Scope]]
) -> None:
    def fail(_: Scope) -> None:
        raise LookupError("listener")

    later: list[Scope] = []
    scope_finished.connect(fail)
    scope_finished.connect(later.append)
    try:
        with pytest.raises(LookupError, match="listener"), scope({"default": tenant(driver)}):
            handler["default"].connect()
    finally:
        scope_finished.disconnect(fail)
        scope_finished.disconnect(later.append)
    assert len(later) == 1
    assert driver.open_connections == []


def test_a_listener_that_fails_at_the_start_keeps_the_scope_from_beginning(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    def fail(_: Scope) -> None:
        raise LookupError("listener")

    scope_started.connect(fail)
    try:
        with pytest.raises(LookupError, match="listener"), scope({"default": tenant(driver)}):
            pytest.fail("it must not begin")
    finally:
        scope_started.disconnect(fail)
    assert named(handler) == "base"


def test_a_scope_is_entered_once(scope: Scopes) -> None:
    mine = scope()
    with mine:
        pass
    with pytest.raises(ScopeError, match="once"), mine:
        pass


# Who inherits it


def test_tasks_inherit_it_with_connections_of_their_own(handler: Connections, scope: Scopes, driver: Driver) -> None:
    async def look() -> Any:
        return handler["default"]

    async def main() -> list[Any]:
        async with scope({"default": tenant(driver, "a")}):
            return [handler["default"], *await asyncio.gather(look(), look())]

    wrappers = asyncio.run(main())
    assert len(set(wrappers)) == 3
    assert {wrapper.settings.name for wrapper in wrappers} == {"a"}


def test_to_thread_inherits_it(handler: Connections, scope: Scopes, driver: Driver) -> None:
    async def main() -> Any:
        async with scope({"default": tenant(driver, "a")}):
            return await asyncio.to_thread(lambda: handler["default"])

    assert asyncio.run(main()).settings.name == "a"


def test_sync_to_async_inherits_it_and_leaves_the_tasks_own_alone(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    asgiref = pytest.importorskip("asgiref.sync")

    def look() -> Any:
        return handler["default"], handler["default"]

    async def main() -> tuple[Any, Any, Any]:
        async with scope({"default": tenant(driver, "a")}):
            before = handler["default"]
            inside, again = await asgiref.sync_to_async(look)()
            assert inside is again
            # It copies the context back, the worker thread's slot included: that must not be believed here.
            return before, inside, handler["default"]

    before, inside, after = asyncio.run(main())
    assert before is after
    assert inside is not before
    assert inside.settings.name == "a"


def test_one_worker_thread_serves_two_scopes_alternately(handler: Connections, scope: Scopes, driver: Driver) -> None:
    """As a thread-sensitive executor does: the contexts change under the thread, nothing is entered or left."""
    contexts = {}
    scopes = []
    for name in ("a", "b"):
        mine = scope({"default": tenant(driver, name)})
        scopes.append(mine)
        mine.begin()
        with mine.step():
            contexts[name] = copy_context()

    def serve() -> list[str]:
        return [contexts[name].run(named, handler) for name in ("a", "b", "a", "a", "b")]

    assert in_thread(serve) == ["a", "b", "a", "a", "b"]
    for mine in scopes:
        mine.end()


@pytest.mark.parametrize("bound", [True, False])
def test_a_bare_thread_inherits_only_when_bound(
    handler: Connections, scope: Scopes, driver: Driver, bound: bool
) -> None:
    with scope({"default": tenant(driver, "a")}) as mine:
        look = partial(named, handler)
        assert in_thread(mine.bind(look) if bound else look) == ("a" if bound else "base")


def test_a_bound_call_in_an_executor_restores_the_worker(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with ThreadPoolExecutor(1) as executor, scope({"default": tenant(driver, "a")}):
        bound = scope.bind(partial(named, handler))
        assert executor.submit(bound).result() == "a"
        assert executor.submit(named, handler).result() == "base"


def test_a_bound_coroutine_runs_under_the_scope(handler: Connections, scope: Scopes, driver: Driver) -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return named(handler)

    with scope({"default": tenant(driver, "a")}):
        bound = scope.bind(look)
        assert in_thread(lambda: asyncio.run(bound())) == "a"


def test_a_bound_thread_gets_a_connection_of_its_own(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver, "a")}):
        mine = handler["default"]
        assert in_thread(scope.bind(lambda: handler["default"])) is not mine


def test_required_means_refused_without_and_says_how(driver: Driver) -> None:
    handler = Connections({"default": tenant(driver)}, require_scope=True)
    scope = Scopes(handler)
    with pytest.raises(ScopeError, match=r"scope\.bind"):
        handler["default"]
    with scope():
        assert named(handler) == "a"
        with pytest.raises(ScopeError, match=r"no scope is in force here.*bare Thread"):
            in_thread(named, handler)
        with ThreadPoolExecutor(1) as executor, pytest.raises(ScopeError, match="executor"):
            executor.submit(named, handler).result()
        assert in_thread(scope.bind(partial(named, handler))) == "a"


def test_a_task_that_outlives_its_scope_is_refused(handler: Connections, scope: Scopes, driver: Driver) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def late() -> str:
            await ended.wait()
            return named(handler)

        async with scope({"default": tenant(driver, "a")}):
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        ended.set()
        with pytest.raises(ScopeError, match="has ended"):
            await task

    asyncio.run(main())


# What its end does to other threads


def test_idle_connections_of_other_threads_are_closed(handler: Connections, scope: Scopes, driver: Driver) -> None:
    opened, ended = threading.Event(), threading.Event()

    def hold() -> Any:
        wrapper = handler["default"]
        cursor = wrapper.cursor()
        opened.set()
        assert ended.wait(PATIENCE)
        return wrapper, cursor

    with scope({"default": tenant(driver, "a")}):
        worker = Worker(scope.bind(hold))
        assert opened.wait(PATIENCE)
    assert driver.open_connections == []
    ended.set()
    wrapper, cursor = worker.result()
    with pytest.raises(ScopeError, match="scope has ended"):
        wrapper.cursor()
    with pytest.raises(ScopeError, match="scope has ended"):
        cursor.fetchone()


def test_what_somebody_still_holds_of_a_thread_that_is_gone_is_closed(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    def work() -> Any:
        handler["default"].connect()
        return handler["default"]

    with scope({"default": tenant(driver, "a")}) as mine:
        held = in_thread(mine.bind(work))
        assert len(driver.open_connections) == 1
    assert driver.open_connections == []
    with pytest.raises(ScopeError, match="has ended"):
        held.connect()


def test_a_busy_connection_is_closed_by_its_owner_when_the_call_returns(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    executing, finish = threading.Event(), threading.Event()
    closed_in: list[int] = []

    def slow() -> None:
        executing.set()
        assert finish.wait(PATIENCE)

    def query() -> int:
        handler["default"].cursor().execute("SELECT")
        return threading.get_ident()

    driver.plan("execute", slow)
    driver.plan("close", lambda: closed_in.append(threading.get_ident()))
    with scope({"default": tenant(driver, "a")}):
        worker = Worker(scope.bind(query))
        assert executing.wait(PATIENCE)
    assert len(driver.open_connections) == 1
    finish.set()
    owner = worker.result()
    assert driver.open_connections == []
    assert closed_in == [owner]
    assert driver.collisions == []


def test_a_busy_owner_that_goes_on_is_refused_and_closes(handler: Connections, scope: Scopes, driver: Driver) -> None:
    executing, finish = threading.Event(), threading.Event()
    cursors: list[Any] = []

    def slow() -> None:
        executing.set()
        assert finish.wait(PATIENCE)

    def query() -> None:
        cursors.append(handler["default"].cursor())  # held by others, so that dropping it closes nothing
        cursors[0].execute("SELECT")
        cursors[0].fetchone()

    driver.plan("execute", slow)
    with scope({"default": tenant(driver, "a")}):
        worker = Worker(scope.bind(query))
        assert executing.wait(PATIENCE)
    finish.set()
    with pytest.raises(ScopeError, match="scope has ended"):
        worker.result()
    assert driver.open_connections == []


def test_a_connection_being_opened_as_the_scope_ends_is_not_kept(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    opening, finish = threading.Event(), threading.Event()
    kept: list[Any] = []

    def slow() -> None:
        opening.set()
        assert finish.wait(PATIENCE)

    def connect() -> None:
        kept.append(handler["default"])
        kept[0].connect()

    driver.plan("connect", slow)
    with scope({"default": tenant(driver, "a")}):
        worker = Worker(scope.bind(connect))
        assert opening.wait(PATIENCE)
    finish.set()
    with pytest.raises(ScopeError):
        worker.result()
    assert driver.open_connections == []


def test_a_lookup_that_crosses_the_end_is_refused(handler: Connections, scope: Scopes, driver: Driver) -> None:
    looking, ended = threading.Event(), threading.Event()

    class Late(Databases):
        def backend(self, alias: str) -> Any:
            looking.set()
            assert ended.wait(PATIENCE)
            return super().backend(alias)

    with scope(Late({"default": tenant(driver, "a")})):
        worker = Worker(scope.bind(lambda: handler["default"].connect()))
        assert looking.wait(PATIENCE)
    ended.set()
    with pytest.raises(ScopeError, match="has ended"):
        worker.result()
    assert driver.connections == []


def test_nothing_is_closed_in_the_event_loops_thread(handler: Connections, scope: Scopes, driver: Driver) -> None:
    closed_in: list[int] = []
    driver.plan("close", *[lambda: closed_in.append(threading.get_ident())] * 2)

    async def main() -> int:
        async with scope({"default": tenant(driver, "a")}):
            await asyncio.to_thread(lambda: handler["default"].connect())
            with allow_blocking():
                handler["default"].connect()
        assert driver.open_connections == []
        return threading.get_ident()

    assert asyncio.run(main()) not in closed_in
    assert len(closed_in) == 2


def test_a_plain_with_under_a_loop_closes_in_the_background(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    async def main() -> None:
        with scope({"default": tenant(driver, "a")}):
            await asyncio.to_thread(lambda: handler["default"].connect())

    asyncio.run(main())  # its end waits for the executor
    assert len(driver.connections) == 1
    assert driver.open_connections == []


def test_a_cancelled_task_still_releases(handler: Connections, scope: Scopes, driver: Driver) -> None:
    async def request(opened: asyncio.Event) -> None:
        async with scope({"default": tenant(driver, "a")}):
            await asyncio.to_thread(lambda: handler["default"].connect())
            opened.set()
            await asyncio.Event().wait()

    async def main() -> None:
        opened = asyncio.Event()
        task = asyncio.create_task(request(opened))
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(driver.connections) == 1
    assert driver.open_connections == []


def test_a_generator_that_is_abandoned_inside_a_scope_restores_and_releases(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    def rows() -> Iterator[FakeConnection]:
        with scope({"default": tenant(driver, "a")}):
            yield handler["default"].connection

    generator = rows()
    assert next(generator) is driver.connections[0]
    del generator
    assert driver.open_connections == []
    assert named(handler) == "base"


def test_scopes_leave_no_garbage(handler: Connections, scope: Scopes, driver: Driver) -> None:
    def serve() -> None:
        with scope({"default": tenant(driver, "a")}):
            handler["default"].cursor().execute("SELECT")

    in_thread(serve)
    gc.collect()
    gc.disable()
    try:
        in_thread(serve)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("failures", [1, 2])
def test_a_scope_whose_end_fails_leaves_no_garbage_either(
    handler: Connections, scope: Scopes, driver: Driver, failures: int
) -> None:
    def serve() -> None:
        driver.plan("close", *(driver.OperationalError("stuck") for _ in range(failures)))
        try:
            with scope({alias: tenant(driver, alias) for alias in ("one", "two")}):
                for wrapper in handler.all():
                    wrapper.connect()
        except Exception:
            return
        pytest.fail("it must raise")

    in_thread(serve)
    gc.collect()
    gc.disable()
    try:
        in_thread(serve)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_somebody_holds_is_not_forgotten_though_its_slot_is_cleared_away_before_the_end_has_looked() -> None:
    place: Place[Driver, None] = Place(None, task=False)
    ended, following = Layer[Driver](None), Layer[Driver](None)
    held = Driver()
    place.slot(ended).made.append(ref(held))
    ended.ended = True  # the first thing that the end does, in another thread
    place.slot(following)
    assert ended.slots() == []
    assert ended.left() == [held]
