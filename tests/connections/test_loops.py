"""Other loops than asyncio's own: uvloop keeps every promise, trio's tasks are nothing but their thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from backend_sdk import BlockingCallError, Connections, ThreadSharingError, allow_blocking
from backend_sdk.scope import Scopes
from tests.connections.tenants import tenant
from tests.core.fakes import Driver

R = TypeVar("R")
Run = Callable[[Coroutine[Any, Any, R]], R]


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="handler")
def make_handler(driver: Driver) -> Connections:
    return Connections({"default": tenant(driver)})


@pytest.fixture(name="scope")
def make_scope(handler: Connections) -> Scopes:
    return Scopes(handler)


@pytest.fixture(name="run", params=["asyncio", "uvloop"])
def choose_loop(request: pytest.FixtureRequest) -> Any:
    return asyncio.run if request.param == "asyncio" else pytest.importorskip("uvloop").run


def test_each_task_has_its_own_and_never_the_threads(handler: Connections, run: Run[Any]) -> None:
    async def look() -> tuple[Any, Any]:
        first = handler["default"]
        await asyncio.sleep(0)
        return first, handler["default"]

    async def main() -> Any:
        return [*await asyncio.gather(look(), look()), (handler["default"], handler["default"])]

    mine = handler["default"]
    pairs = run(main())
    assert all(first is again for first, again in pairs)
    assert len({mine, *(first for first, _ in pairs)}) == 4
    assert handler["default"] is mine


def test_a_task_may_not_use_anothers_nor_block_the_loop(handler: Connections, run: Run[Any]) -> None:
    mine = handler["default"]

    async def main() -> None:
        with pytest.raises(BlockingCallError):
            handler["default"].connect()
        with allow_blocking():
            handler["default"].connect()
            with pytest.raises(ThreadSharingError, match="made by thread"):
                mine.connect()

    run(main())


def test_a_bare_callback_of_the_loop_is_no_task_and_may_not_use_the_threads(
    handler: Connections, run: Run[Any]
) -> None:
    handler["default"].connect()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def callback() -> None:
            try:
                with allow_blocking(), pytest.raises(ThreadSharingError):
                    handler["default"].cursor()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)

        loop.call_soon(callback)
        await done

    run(main())


def test_a_scope_reaches_tasks_and_worker_threads_and_closes_what_they_opened_elsewhere_than_in_the_loop(
    handler: Connections, scope: Scopes, driver: Driver, run: Run[Any]
) -> None:
    closed_in: list[int] = []
    driver.plan("close", *[lambda: closed_in.append(threading.get_ident())] * 2)

    async def in_task() -> Any:
        with allow_blocking():
            handler["default"].connect()
        return handler["default"]

    def in_thread() -> Any:
        handler["default"].connect()
        return handler["default"]

    async def main() -> list[Any]:
        async with scope({"default": tenant(driver, "a")}):
            task = asyncio.create_task(in_task())
            found = [handler["default"], await task, await asyncio.to_thread(in_thread)]
            del task  # it would keep its connection
        assert driver.open_connections == []
        return found

    found = run(main())
    assert [wrapper.settings.name for wrapper in found] == ["a"] * 3
    assert len(set(found)) == 3
    assert closed_in
    assert threading.get_ident() not in closed_in


def test_trios_tasks_share_what_is_their_threads(handler: Connections) -> None:
    trio = pytest.importorskip("trio")
    mine = handler["default"]
    found: list[Any] = []

    async def look() -> None:
        found.append(handler["default"])

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(look)

    trio.run(main)
    assert found == [mine, mine]


def test_trios_worker_threads_inherit_the_scope_with_connections_of_their_own(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    trio = pytest.importorskip("trio")

    def work() -> Any:
        handler["default"].connect()
        return handler["default"]

    async def main() -> tuple[Any, Any]:
        with scope({"default": tenant(driver, "a")}):
            return handler["default"], await trio.to_thread.run_sync(work)

    here, there = trio.run(main)
    assert here is not there
    assert here.settings.name == there.settings.name == "a"
    assert driver.open_connections == []
