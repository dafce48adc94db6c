"""Freed by reference count alone, in every state: the wrapper, its session, its file descriptors.

The collector is off in all that follows. What `gc.garbage` holds proves nothing; a dead weak reference does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import (
    BlockingCallError,
    ConnectionClosedError,
    DatabaseWrapper,
    Error,
    OperationalError,
    ThreadSharingError,
    allow_blocking,
)
from backend_sdk.handle import Handle
from tests.core.fakes import (
    CheckedFakeCursor,
    Driver,
    FakeCursor,
    FakeWrapper,
    fake_wrapper,
    in_interpreter,
    in_thread,
    sqlite_wrapper,
)

Wrapper = DatabaseWrapper[Any, Any]


class SomethingElse(Exception):
    """Nobody's but the test's."""


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def driver() -> Driver:
    return Driver()


def never_opened(wrapper: Wrapper) -> None:
    assert not wrapper.is_open


def opened(wrapper: Wrapper) -> None:
    wrapper.cursor().execute("SELECT 1").fetchall()


def closed(wrapper: Wrapper) -> None:
    opened(wrapper)
    wrapper.close()


def after_an_sql_error(wrapper: Wrapper) -> None:
    try:
        wrapper.cursor().execute("SELEKT")
    except OperationalError:
        return
    raise AssertionError("no error")


def after_a_block_left_by_an_exception(wrapper: Wrapper) -> None:
    try:
        with wrapper.atomic(), wrapper.atomic():
            wrapper.cursor().execute("CREATE TABLE t (i)")
            raise SomethingElse
    except SomethingElse:
        return


def after_a_refused_foreign_call(wrapper: Wrapper) -> None:
    opened(wrapper)
    refused: list[bool] = []

    def use() -> None:
        try:
            wrapper.cursor()
        except ThreadSharingError:
            refused.append(True)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert refused


STATES: dict[str, Callable[[Wrapper], None]] = {
    state.__name__: state
    for state in (
        never_opened,
        opened,
        closed,
        after_an_sql_error,
        after_a_block_left_by_an_exception,
        after_a_refused_foreign_call,
    )
}


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def drop_a_thousand(state: str, path: str) -> None:
    """One after the other on a file, then all at once in memory; in an interpreter of its own."""
    gc.disable()
    bring = STATES[state]
    bring(sqlite_wrapper(path))  # what is loaded and opened once is not counted
    descriptors = open_descriptors()
    backend = sqlite_wrapper(path).backend
    for _ in range(1000):
        wrapper = DatabaseWrapper(backend)
        bring(wrapper)
        gone = weakref.ref(wrapper)
        del wrapper
        assert gone() is None
    assert open_descriptors() == descriptors
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN EXCLUSIVE")  # nobody holds a lock either

    backend = sqlite_wrapper(":memory:").backend
    wrappers = [DatabaseWrapper(backend) for _ in range(1000)]
    list(map(bring, wrappers))
    raw = [each.connection for each in wrappers if each.is_open]
    assert len(raw) == (0 if state in {"never_opened", "closed"} else 1000)
    references = [weakref.ref(each) for each in wrappers]
    wrappers.clear()
    assert [reference() for reference in references] == [None] * 1000
    for connection in raw:
        try:
            connection.total_changes  # noqa: B018 - a closed one refuses
        except sqlite3.ProgrammingError:
            continue
        raise AssertionError("a session is left open")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("state", STATES)
def test_a_thousand_dropped_wrappers_leave_no_session_and_no_descriptor(state: str, tmp_path: Path) -> None:
    in_interpreter(drop_a_thousand, state, tmp_path / "db")


def failing_to_connect(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("connect", Driver.OperationalError("refused"))
    with pytest.raises(OperationalError):
        wrapper.connect()


def failing_to_configure(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("init_connection_state", Driver.OperationalError("refused"))
    with pytest.raises(OperationalError):
        wrapper.connect()


def failing_in_the_program(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("init_connection_state", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        wrapper.connect()


def failing_in_the_params(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("params", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        wrapper.connect()


def interrupted_while_opening(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("configure_connection", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        wrapper.connect()


def failing_to_close(wrapper: FakeWrapper, driver: Driver) -> None:
    wrapper.connect()
    driver.plan("close", Driver.OperationalError("broken pipe"))
    with pytest.raises(OperationalError):
        wrapper.close()


def failing_to_fetch(wrapper: FakeWrapper, driver: Driver) -> None:
    uses: dict[str, Callable[[Any], object]] = {
        "fetchone": lambda c: c.fetchone(),
        "fetchmany": lambda c: c.fetchmany(),
        "fetchall": lambda c: c.fetchall(),
        "executemany": lambda c: c.executemany("INSERT", []),
    }
    for step, use in uses.items():
        driver.plan(step, Driver.OperationalError("reset"))
        with pytest.raises(OperationalError):
            use(wrapper.cursor().execute("SELECT 1"))
    driver.plan("fetchone", Driver.OperationalError("reset"))
    with pytest.raises(OperationalError):
        list(wrapper.cursor().execute("SELECT 1"))  # type: ignore[call-overload]  # iteration is optional in PEP 249


def half_way_through_the_rows(wrapper: FakeWrapper, driver: Driver) -> None:
    for row in wrapper.cursor().execute("SELECT 1"):  # type: ignore[attr-defined]  # as above
        assert row == (1,)
        break


def after_a_failing_commit(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("commit", Driver.IntegrityError("deferred"))
    with pytest.raises(Error), wrapper.atomic():
        wrapper.on_commit(lambda: wrapper)


def after_a_lost_connection(wrapper: FakeWrapper, driver: Driver) -> None:
    driver.plan("execute", Driver.OperationalError("gone"))
    with pytest.raises(Error), wrapper.atomic():
        wrapper.cursor().execute("SELECT 1")


def after_closing_in_a_block(wrapper: FakeWrapper, driver: Driver) -> None:
    with pytest.raises(Error), wrapper.atomic():
        wrapper.close()


def after_commit_hooks(wrapper: FakeWrapper, driver: Driver) -> None:
    with wrapper.atomic():
        wrapper.on_commit(lambda: wrapper.cursor().execute("SELECT 1"))


def after_execute_hooks(wrapper: FakeWrapper, driver: Driver) -> None:
    def hook(execute: Callable[..., object], *rest: object) -> object:
        assert wrapper.is_open
        return execute(*rest)

    driver.plan("execute", Driver.OperationalError("x"))
    with wrapper.execute_hook(hook), wrapper.query_log(), pytest.raises(OperationalError):
        wrapper.cursor().execute("SELECT 1")


def after_sharing(wrapper: FakeWrapper, driver: Driver) -> None:
    with wrapper.shared():
        in_thread(lambda: wrapper.cursor().execute("SELECT 1").fetchall())


def still_shared(wrapper: FakeWrapper, driver: Driver) -> None:
    wrapper.inc_thread_sharing()
    wrapper.connect()


def after_a_temporary_connection(wrapper: FakeWrapper, driver: Driver) -> None:
    with pytest.raises(SomethingElse), wrapper.temporary_connection():
        raise SomethingElse


def after_a_decorated_call(wrapper: FakeWrapper, driver: Driver) -> None:
    @wrapper.atomic()
    def work() -> None:
        raise SomethingElse

    with pytest.raises(SomethingElse):
        work()


def left_in_a_transaction_without_autocommit(wrapper: FakeWrapper, driver: Driver) -> None:
    wrapper.set_autocommit(False)
    wrapper.cursor().execute("INSERT")


def refused_under_a_loop(wrapper: FakeWrapper, driver: Driver) -> None:
    async def main() -> None:
        with pytest.raises(BlockingCallError):
            wrapper.cursor()
        with allow_blocking(), pytest.raises(ThreadSharingError):
            wrapper.cursor()

    asyncio.run(main())


MORE_STATES: dict[str, Callable[[FakeWrapper, Driver], None]] = {
    state.__name__: state
    for state in (
        failing_to_connect,
        failing_to_configure,
        failing_in_the_program,
        failing_in_the_params,
        interrupted_while_opening,
        failing_to_close,
        failing_to_fetch,
        half_way_through_the_rows,
        after_a_failing_commit,
        after_a_lost_connection,
        after_closing_in_a_block,
        after_commit_hooks,
        after_execute_hooks,
        after_sharing,
        still_shared,
        after_a_temporary_connection,
        after_a_decorated_call,
        left_in_a_transaction_without_autocommit,
        refused_under_a_loop,
    )
}


@pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
@pytest.mark.parametrize("state", MORE_STATES.values(), ids=MORE_STATES)
def test_a_dropped_wrapper_is_freed_at_once_and_its_session_closed(
    driver: Driver, state: Callable[[FakeWrapper, Driver], None], cursor_class: type[FakeCursor]
) -> None:
    wrapper = fake_wrapper(driver, cursor_class=cursor_class)
    state(wrapper, driver)
    gone = weakref.ref(wrapper)
    del wrapper
    assert gone() is None
    assert driver.open_connections == []


def test_a_caught_error_keeps_a_wrapper_only_as_long_as_it_is_kept_itself(driver: Driver) -> None:
    """Its traceback holds the frames it came through, as any Python error does."""
    driver.plan("execute", Driver.OperationalError("x"))
    kept: list[Error] = []

    def fail() -> weakref.ref[FakeWrapper]:
        wrapper = fake_wrapper(driver)
        try:
            wrapper.cursor().execute("SELECT 1")
        except Error as error:
            kept.append(error)
        return weakref.ref(wrapper)

    gone = fail()
    assert gone() is not None
    kept.clear()
    assert gone() is None
    assert driver.open_connections == []


class TestHeldCursors:
    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    def test_one_keeps_neither_the_wrapper_nor_its_session(
        self, driver: Driver, cursor_class: type[FakeCursor]
    ) -> None:
        wrapper = fake_wrapper(driver, cursor_class=cursor_class)
        cursor = wrapper.cursor().execute("SELECT 1")
        rows: Any = iter(cursor)  # type: ignore[call-overload]  # iteration is optional in PEP 249
        next(rows)
        gone = weakref.ref(wrapper)
        del wrapper
        assert gone() is None
        assert driver.open_connections == []
        for use in (cursor.fetchone, lambda: next(rows)):
            with pytest.raises(ConnectionClosedError):
                use()

    def test_a_file_can_be_replaced_while_an_old_cursor_is_held(self, tmp_path: Path) -> None:
        path = tmp_path / "db"
        wrapper = sqlite_wrapper(path)
        cursor = wrapper.cursor().execute("CREATE TABLE t (i)")
        before = open_descriptors() if sys.platform == "linux" else 1
        del wrapper
        if sys.platform == "linux":
            assert open_descriptors() == before - 1
        with pytest.raises(ConnectionClosedError):
            cursor.execute("SELECT 1")


class TestFinalizers:
    def test_only_one_leaf_has_one(self) -> None:
        wrapper = sqlite_wrapper()
        cursor = wrapper.cursor()
        with wrapper.shared(), wrapper.query_log():
            seen: dict[int, object] = {}
            waiting: list[object] = [wrapper, cursor]
            while waiting:
                item = waiting.pop()
                ours = type(item).__module__.startswith(("backend_sdk", "reference_backends"))
                if id(item) in seen or isinstance(item, type) or not ours:
                    continue
                seen[id(item)] = item
                waiting += gc.get_referents(item)
        found = {type(item) for item in seen.values() if hasattr(type(item), "__del__")}
        assert len(seen) > 5
        assert found == {Handle}
        wrapper.close()

    def test_none_of_the_wrappers_parts_refers_back_to_it(self) -> None:
        wrapper = sqlite_wrapper()
        with wrapper.atomic(), wrapper.atomic():
            wrapper.cursor().execute("SELECT 1")
            referring = [item for item in gc.get_referrers(wrapper) if type(item).__module__.startswith("backend_sdk")]
            # The two blocks that are open at this moment, held by this frame's `with` alone.
            assert {type(item).__name__ for item in referring} == {"Atomic"}
        del referring
        wrapper.close()

    def test_a_wrapper_can_be_dropped_in_another_thread(self, driver: Driver) -> None:
        held = [fake_wrapper(driver)]
        held[0].connect()
        in_thread(held.clear)
        assert driver.open_connections == []


def leave_wrappers_in_globals(path: str) -> None:
    for number in range(3):
        wrapper = sqlite_wrapper(path)
        wrapper.cursor().execute("CREATE TABLE IF NOT EXISTS t (i)")
        globals()[f"left_{number}"] = wrapper, wrapper.cursor().execute("SELECT 1"), wrapper.atomic()
    globals()["left_0"][2].__enter__()
    globals()["left_0"][0].cursor().execute("INSERT INTO t VALUES (1)")
    local = threading.local()
    local.wrapper = sqlite_wrapper(path)
    local.wrapper.connect()
    globals()["left_local"] = local


def test_an_interpreter_that_ends_with_open_wrappers_says_nothing(tmp_path: Path) -> None:
    assert in_interpreter(leave_wrappers_in_globals, tmp_path / "db") == ""
    with closing(sqlite3.connect(tmp_path / "db")) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
