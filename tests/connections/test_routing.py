"""``route_connections`` and ``separate_connection``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import (
    Connections,
    ImproperlyConfigured,
    Route,
    ScopeError,
    Scopes,
    SeparateConnection,
    UnknownAliasError,
    allow_blocking,
    route_connections,
    separate_connection,
)
from tests.connections.tenants import sqlite_tenant, tenant
from tests.core.fakes import PATIENCE, Driver, Worker, in_thread


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="handler")
def make_handler(driver: Driver) -> Connections:
    return Connections({alias: tenant(driver, alias) for alias in ("default", "replica", "master")})


def route(handler: Connections, *, close: bool = False, **targets: Any) -> Route:
    return route_connections(targets, close_connections=close, connections=handler)


def separate(handler: Connections, alias: str = "default") -> SeparateConnection:
    return separate_connection(alias, connections=handler)


def named(handler: Connections, alias: str = "default") -> str:
    return handler[alias].settings.name


def test_the_alias_stands_for_the_target_and_is_restored(handler: Connections) -> None:
    before = handler["default"]
    with route(handler, default="replica"):
        assert handler["default"] is handler["replica"]
    assert handler["default"] is before


def test_it_is_restored_when_the_body_raises(handler: Connections) -> None:
    before = handler["default"]
    with pytest.raises(LookupError), route(handler, default="replica"):
        raise LookupError
    assert handler["default"] is before


def test_it_is_restored_when_the_body_routed_or_assigned_anew(handler: Connections) -> None:
    before = handler["default"]
    with route(handler, default="replica"):
        with route(handler, default="master"):
            assert named(handler) == "master"
        assert named(handler) == "replica"
        handler["default"] = handler["master"]
        assert named(handler) == "master"
    assert handler["default"] is before


def test_what_the_body_assigned_to_another_alias_stays(handler: Connections) -> None:
    with route(handler, default="replica"):
        handler["log"] = handler["master"]
        assert handler["log"] is handler["master"]
    assert handler["log"] is handler["master"]


def test_two_aliases_can_be_swapped(handler: Connections) -> None:
    with route(handler, default="replica", replica="default"):
        assert (named(handler), named(handler, "replica")) == ("replica", "default")


def test_other_threads_see_nothing_of_it(handler: Connections) -> None:
    with route(handler, default="replica"):
        assert in_thread(named, handler) == "default"


def test_decorates_functions_and_keeps_their_names(handler: Connections) -> None:
    @route(handler, default="replica")
    def view(suffix: str) -> str:
        """Documented."""
        return named(handler) + suffix

    assert view("!") == "replica!"
    assert (view.__name__, view.__doc__) == ("view", "Documented.")
    assert named(handler) == "default"


def test_one_decorated_function_runs_in_many_threads_and_within_itself(handler: Connections) -> None:
    @route(handler, default="replica")
    def view(depth: int) -> list[str]:
        return [named(handler), *(view(depth - 1) if depth else in_thread(view_once))]

    @route(handler, default="master")
    def view_once() -> list[str]:
        return [named(handler)]

    assert view(2) == ["replica", "replica", "replica", "master"]


def test_decorates_coroutines_across_their_awaits(handler: Connections) -> None:
    @route(handler, default="replica")
    async def view() -> list[str]:
        seen = [named(handler)]
        await asyncio.sleep(0)
        return [*seen, named(handler)]

    async def other() -> list[str]:
        seen = [named(handler)]
        await asyncio.sleep(0)
        return [*seen, named(handler)]

    async def main() -> list[list[str]]:
        return list(await asyncio.gather(view(), other(), view()))

    assert asyncio.run(main()) == [["replica"] * 2, ["default"] * 2, ["replica"] * 2]


def test_worker_threads_inherit_the_route_with_connections_of_their_own(handler: Connections) -> None:
    @route(handler, default="replica")
    async def view() -> tuple[Any, Any]:
        return handler["default"], await asyncio.to_thread(lambda: handler["default"])

    task, worker = asyncio.run(view())
    assert task is not worker
    assert {task.settings.name, worker.settings.name} == {"replica"}


def test_a_generator_is_routed_only_while_it_runs(handler: Connections) -> None:
    @route(handler, default="replica")
    def rows() -> Iterator[str]:
        yield named(handler)
        try:
            yield named(handler)
        finally:
            ends.append(named(handler))

    ends: list[str] = []
    seen = []
    for name in rows():
        seen += [name, named(handler)]
    assert seen == ["replica", "default"] * 2
    generator = rows()
    assert [next(generator), next(generator)] == ["replica"] * 2
    generator.close()  # type: ignore[attr-defined]  # a generator, as decorated
    assert ends == ["replica", "replica"]
    assert named(handler) == "default"


def test_a_generator_receives_what_is_sent_and_thrown_and_returns(handler: Connections) -> None:
    @route(handler, default="replica")
    def echo() -> Any:
        got = yield "ready"
        try:
            yield got
        except LookupError:
            yield named(handler)
        return "done"

    generator = echo()
    assert next(generator) == "ready"
    assert generator.send("this") == "this"
    assert generator.throw(LookupError()) == "replica"
    with pytest.raises(StopIteration, match="done"):
        next(generator)


def test_a_generator_resumed_under_another_scope_is_routed_there(handler: Connections, driver: Driver) -> None:
    @route(handler, default="replica")
    def rows() -> Iterator[str]:
        while True:
            yield named(handler)

    generator = rows()
    for name in ("one", "two"):
        with Scopes(handler)({"default": tenant(driver), "replica": tenant(driver, name)}):
            assert next(generator) == name
    assert next(generator) == "replica"


def test_an_async_generator_is_routed_only_while_it_runs(handler: Connections) -> None:
    @route(handler, default="replica")
    async def rows() -> AsyncIterator[str]:
        yield named(handler)
        await asyncio.sleep(0)
        yield named(handler)

    async def main() -> list[str]:
        seen: list[str] = []
        async for name in rows():
            seen += [name, named(handler)]
        return seen

    assert asyncio.run(main()) == ["replica", "default"] * 2


def test_with_close_connections_what_the_block_opened_is_closed(handler: Connections, driver: Driver) -> None:
    with route(handler, close=True, default="replica"):
        handler["default"].connect()
    assert driver.open_connections == []
    with route(handler, default="replica"):
        handler["default"].connect()
    assert len(driver.open_connections) == 1


def test_what_was_open_before_stays_open(handler: Connections, driver: Driver) -> None:
    handler["replica"].connect()
    handler["default"].connect()
    with route(handler, close=True, default="replica"):
        handler["default"].cursor().execute("SELECT")
    assert handler["replica"].is_open
    assert handler["default"].is_open
    assert len(driver.connections) == 2


def test_the_inner_of_two_routes_leaves_the_outers_connection_open(handler: Connections) -> None:
    with route(handler, close=True, default="replica"):
        handler["default"].connect()
        with route(handler, close=True, master="replica"):
            handler["master"].connect()
        assert handler["default"].is_open
    assert not handler["replica"].is_open


def test_a_wrapper_can_be_the_target(handler: Connections) -> None:
    extra = handler["master"].copy("extra")
    with route(handler, default=extra, close=True):
        assert handler["default"] is extra
        extra.connect()
    assert not extra.is_open


def test_a_wrapper_of_another_threads_is_replaced_by_one_of_its_own(handler: Connections) -> None:
    extra = handler["master"].copy("extra")

    async def main() -> Any:
        with route(handler, default=extra):
            return await asyncio.to_thread(lambda: handler["default"])

    worker = asyncio.run(main())
    assert worker is not extra
    assert worker.settings.name == "master"


def test_a_separate_connection_is_made_anew_at_each_call_and_closed(handler: Connections, driver: Driver) -> None:
    @route(handler, default=separate(handler, "master"))
    def log() -> Any:
        handler["default"].connect()
        assert handler["default"] is handler["default"]
        assert handler["default"] is not handler["master"]
        return handler["default"].connection

    first, second = log(), log()
    assert first is not second
    assert driver.open_connections == []
    assert {connection.driver for connection in (first, second)} == {driver}


def test_a_mistyped_target_is_an_error_at_once(handler: Connections) -> None:
    with pytest.raises(UnknownAliasError, match="'replica'"), route(handler, default="replcia"):
        pytest.fail("it must not begin")
    assert named(handler) == "default"


def test_it_works_inside_a_scope_and_ends_with_it(handler: Connections, driver: Driver) -> None:
    scope = Scopes(handler)
    with scope({"default": tenant(driver, "a"), "replica": tenant(driver, "b")}), route(handler, default="replica"):
        assert named(handler) == "b"
        kept = handler["default"]
        kept.connect()
    assert driver.open_connections == []
    with pytest.raises(ScopeError):
        kept.cursor()


def test_closing_errors_are_raised_and_everything_is_restored(handler: Connections, driver: Driver) -> None:
    driver.plan("close", driver.OperationalError("stuck"))
    with pytest.raises(Exception, match="stuck"), route(handler, default=separate(handler)):
        handler["default"].connect()
    assert named(handler) == "default"
    assert driver.open_connections == []


def test_a_route_under_a_loop_closes_what_it_opened(handler: Connections, driver: Driver) -> None:
    @route(handler, default=separate(handler))
    async def view() -> None:
        await asyncio.to_thread(lambda: handler["default"].connect())
        with allow_blocking():
            handler["default"].connect()

    asyncio.run(view())
    assert len(driver.connections) == 2
    assert driver.open_connections == []


# A second session by itself


@pytest.fixture(name="files")
def make_files(tmp_path: Path) -> Connections:
    return Connections({"default": sqlite_tenant(tmp_path, "a", OPTIONS={"journal_mode": "WAL"})})


def test_a_separate_connection_logs_outside_the_current_transaction(files: Connections) -> None:
    def count() -> int:
        with files["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tenant")
            return int(cursor.fetchone()[0])

    def work() -> None:
        with files["default"].atomic():
            assert count() == 1
            with separate(files) as log:
                log.cursor().execute("INSERT INTO tenant VALUES ('logged')")
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert count() == 2


def test_by_itself_it_is_another_session_in_the_same_thread_and_closed_after(files: Connections) -> None:
    with separate(files) as one, separate(files) as two:
        assert len({one.connection, two.connection, files["default"].connection}) == 3
    assert not one.is_open
    assert files["default"].is_open


def test_opened_without_a_block_the_scope_closes_it(handler: Connections, driver: Driver) -> None:
    with Scopes(handler)():
        separate(handler).open().connect()
        extra = separate(handler).open()
        extra.connect()
    assert driver.open_connections == []
    assert not extra.is_open


def test_a_private_memory_database_has_no_second_session() -> None:
    handler = Connections({"default": "sqlite://:memory:"})
    with pytest.raises(ImproperlyConfigured, match="memory_name"):
        separate(handler).open()
    with pytest.raises(ImproperlyConfigured, match="memory_name"), route(handler, default=separate(handler)):
        pytest.fail("it must not begin")


def test_what_a_route_made_is_closed_by_the_scope_even_if_the_route_never_ends(
    handler: Connections, driver: Driver
) -> None:
    scope = Scopes(handler)()
    scope.begin()
    with scope.step():
        abandoned = route(handler, default=separate(handler, "master"))
        abandoned.__enter__()
        kept = handler["default"]
        kept.connect()
    scope.end()
    assert driver.open_connections == []
    with pytest.raises(ScopeError):
        kept.connect()


def test_of_two_threads_in_one_separate_connection_each_ends_its_own(handler: Connections) -> None:
    shared = separate(handler)
    entered, left = threading.Event(), threading.Event()

    def first() -> bool:
        with shared as mine:
            mine.connect()
            entered.wait(PATIENCE)
        left.set()
        return not mine.is_open

    def second() -> None:
        with shared as mine:
            mine.connect()
            entered.set()
            assert left.wait(PATIENCE)
            mine.cursor().execute("SELECT 1")

    one = Worker(first)
    two = Worker(second)
    assert one.result()
    two.result()


def test_a_separate_connection_that_a_task_shared_is_closed_off_the_loop(handler: Connections, driver: Driver) -> None:
    closed_in: list[int] = []
    driver.plan("close", lambda: closed_in.append(threading.get_ident()))

    async def main() -> int:
        with separate(handler) as extra, extra.shared():
            await asyncio.to_thread(extra.connect)
        return threading.get_ident()

    loop = asyncio.run(main())
    assert closed_in
    assert loop not in closed_in
