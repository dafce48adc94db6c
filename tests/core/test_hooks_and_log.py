"""Execute hooks, the bounded query log, and what the packages' loggers say and never say."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from backend_sdk import (
    ConnectionClosedError,
    ExecuteContext,
    IntegrityError,
    OperationalError,
    QueryLog,
    QueryRecord,
)
from tests.core.fakes import CheckedFakeCursor, Clock, Driver, FakeCursor, FakeWrapper, fake_wrapper, in_thread


class SomethingElse(Exception):
    """Nobody's but the test's."""


Execute = Callable[..., object]


class Witness:
    """A hook that notes what it was told, and lets it pass."""

    def __init__(self, name: str = "", notes: list[str] | None = None) -> None:
        self.name = name
        self.notes = notes if notes is not None else []
        self.calls: list[tuple[object, object, bool, ExecuteContext]] = []

    def __call__(self, execute: Execute, sql: object, params: object, many: bool, context: ExecuteContext, /) -> object:
        self.calls.append((sql, params, many, context))
        self.notes.append(f"{self.name} before")
        try:
            return execute(sql, params, many, context)
        finally:
            self.notes.append(f"{self.name} after")


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture(params=[FakeCursor, CheckedFakeCursor], ids=["wrapped", "mixin"])
def wrapper(request: pytest.FixtureRequest, driver: Driver) -> FakeWrapper:
    return fake_wrapper(driver, "reports", cursor_class=request.param)


class TestHooks:
    def test_one_is_told_the_statement_and_where_it_runs(self, wrapper: FakeWrapper) -> None:
        witness, cursor = Witness(), wrapper.cursor()
        with wrapper.execute_hook(witness):
            cursor.execute("SELECT %s", (1,))
            cursor.executemany("INSERT", [(1,), (2,)])
        (sql, params, many, context), second = witness.calls
        assert (sql, params, many) == ("SELECT %s", (1,), False)
        assert second[:3] == ("INSERT", [(1,), (2,)], True)
        assert context.alias == "reports"
        assert context.cursor is cursor

    def test_what_execute_returns_comes_through(self, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        with wrapper.execute_hook(Witness()):
            assert cursor.execute("SELECT 1") is cursor
            assert cursor.fetchall() == [(1,), (2,), (3,)]

    def test_the_one_added_last_is_the_outermost(self, wrapper: FakeWrapper) -> None:
        notes: list[str] = []
        with wrapper.execute_hook(Witness("first", notes)), wrapper.execute_hook(Witness("last", notes)):
            wrapper.cursor().execute("SELECT 1")
        assert notes == ["last before", "first before", "first after", "last after"]

    def test_it_ends_with_its_block_however_that_is_left(self, wrapper: FakeWrapper) -> None:
        witness, cursor = Witness(), wrapper.cursor()
        with pytest.raises(SomethingElse), wrapper.execute_hook(witness):
            raise SomethingElse
        cursor.execute("SELECT 1")
        assert witness.calls == []

    def test_the_same_one_may_be_added_twice(self, wrapper: FakeWrapper) -> None:
        witness, cursor = Witness(), wrapper.cursor()
        with wrapper.execute_hook(witness):
            with wrapper.execute_hook(witness):
                cursor.execute("SELECT 1")
            assert len(witness.calls) == 2
            cursor.execute("SELECT 1")
            assert len(witness.calls) == 3

    def test_blocks_that_end_out_of_order_take_their_own_along(self, wrapper: FakeWrapper) -> None:
        one, other, cursor = Witness(), Witness(), wrapper.cursor()
        first, second = wrapper.execute_hook(one), wrapper.execute_hook(other)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        cursor.execute("SELECT 1")
        second.__exit__(None, None, None)
        cursor.execute("SELECT 1")
        assert (len(one.calls), len(other.calls)) == (0, 1)

    def test_it_holds_for_cursors_and_connections_made_before_and_after(self, wrapper: FakeWrapper) -> None:
        witness = Witness()
        before = wrapper.cursor()
        with wrapper.execute_hook(witness):
            before.execute("SELECT 1")
            wrapper.close()
            wrapper.cursor().execute("SELECT 2")
        assert [call[0] for call in witness.calls] == ["SELECT 1", "SELECT 2"]

    def test_it_may_be_added_before_there_is_a_connection(self, wrapper: FakeWrapper, driver: Driver) -> None:
        witness = Witness()
        with wrapper.execute_hook(witness):
            assert driver.log == []
            wrapper.cursor().execute("SELECT 1")
        assert len(witness.calls) == 1

    def test_it_may_change_the_statement(self, wrapper: FakeWrapper) -> None:
        def tag(execute: Execute, sql: object, params: object, many: bool, context: ExecuteContext, /) -> object:
            return execute(f"{sql} /* {context.alias} */", params, many, context)

        cursor = wrapper.cursor()
        with wrapper.execute_hook(tag):
            cursor.execute("SELECT 1", prepare=True)
        assert (cursor.arguments, cursor.options) == (("SELECT 1 /* reports */",), {"prepare": True})

    def test_it_may_refuse_and_nothing_is_sent(self, wrapper: FakeWrapper, driver: Driver) -> None:
        def refuse(*_: object) -> object:
            raise SomethingElse("no queries in templates")

        cursor = wrapper.cursor()
        with wrapper.execute_hook(refuse), pytest.raises(SomethingElse):
            cursor.execute("SELECT 1")
        assert "execute" not in driver.log

    def test_it_sees_our_error_once_translated(self, wrapper: FakeWrapper, driver: Driver) -> None:
        seen: list[Exception] = []

        def watch(execute: Execute, *rest: object) -> object:
            try:
                return execute(*rest)
            except Exception as error:
                seen.append(error)
                raise

        original = Driver.IntegrityError("twice")
        driver.plan("execute", original)
        with wrapper.execute_hook(watch), pytest.raises(IntegrityError) as caught:
            wrapper.cursor().execute("INSERT")
        assert seen == [caught.value]
        assert caught.value.__cause__ is original

    def test_a_drivers_error_of_the_hooks_own_becomes_ours_too(self, wrapper: FakeWrapper) -> None:
        def fail(*_: object) -> object:
            raise Driver.OperationalError("the audit table is locked")

        with wrapper.execute_hook(fail), pytest.raises(OperationalError, match="audit table"):
            wrapper.cursor().execute("SELECT 1")

    def test_it_is_not_called_for_what_is_refused(self, wrapper: FakeWrapper) -> None:
        witness, cursor = Witness(), wrapper.cursor()
        with wrapper.execute_hook(witness):
            with pytest.raises(Exception, match="refused"):
                in_thread(cursor.execute, "SELECT 1")
            wrapper.close()
            with pytest.raises(ConnectionClosedError):
                cursor.execute("SELECT 1")
        assert witness.calls == []

    def test_it_is_not_called_for_what_the_backend_sends_itself(self, wrapper: FakeWrapper, driver: Driver) -> None:
        witness = Witness()
        with wrapper.execute_hook(witness), wrapper.atomic(), wrapper.atomic():
            pass
        assert {"begin", "savepoint", "commit"} <= set(driver.log)
        assert witness.calls == []

    def test_it_is_called_for_who_shares_the_wrapper(self, wrapper: FakeWrapper) -> None:
        witness = Witness()
        with wrapper.execute_hook(witness), wrapper.shared():
            in_thread(lambda: wrapper.cursor().execute("SELECT 1"))
        assert len(witness.calls) == 1

    def test_the_short_way_is_back_afterwards(self, wrapper: FakeWrapper) -> None:
        wrapper.connect()
        guard: Any = wrapper._guard
        free = guard.fast
        with wrapper.execute_hook(Witness()):
            assert not guard.fast()
        assert guard.fast is free
        assert guard.fast()


class TestQueryLog:
    def test_it_keeps_the_last_ones_in_order(self, wrapper: FakeWrapper) -> None:
        with wrapper.query_log(limit=2) as log:
            for number in range(3):
                wrapper.cursor().execute(f"SELECT {number}")
        assert [record.sql for record in log.records] == ["SELECT 1", "SELECT 2"]
        wrapper.cursor().execute("SELECT 3")
        assert len(log.records) == 2

    def test_a_record_tells_all_but_the_parameters(self, wrapper: FakeWrapper) -> None:
        clock = Clock()
        log = QueryLog(clock=clock)

        def slow(execute: Execute, *rest: object) -> object:
            clock.now += 1.5
            return execute(*rest)

        cursor = wrapper.cursor()
        with wrapper.execute_hook(slow), wrapper.execute_hook(log):
            cursor.execute("SELECT 1")
            cursor.execute("SELECT %s, %s", ("hunter2", "hunter3"))
            cursor.executemany("INSERT", iter([("hunter2",)]))
        assert list(log.records) == [
            QueryRecord("reports", "SELECT 1", 0, False, 1.5, None),
            QueryRecord("reports", "SELECT %s, %s", 2, False, 1.5, None),
            QueryRecord("reports", "INSERT", None, True, 1.5, None),
        ]
        assert "hunter" not in repr(log.records)

    @pytest.mark.parametrize(
        ("raised", "noted"),
        [(Driver.IntegrityError("x"), "IntegrityError"), (KeyboardInterrupt(), "KeyboardInterrupt")],
    )
    def test_a_failure_is_noted_by_its_class(
        self, wrapper: FakeWrapper, driver: Driver, raised: BaseException, noted: str
    ) -> None:
        driver.plan("execute", raised)
        with wrapper.query_log() as log, pytest.raises((IntegrityError, KeyboardInterrupt)):
            wrapper.cursor().execute("INSERT")
        assert [record.error for record in log.records] == [noted]

    def test_it_keeps_no_error_and_no_wrapper_alive(self, driver: Driver) -> None:
        gc.disable()
        try:
            wrapper = fake_wrapper(driver)
            driver.plan("execute", Driver.IntegrityError("x"))
            gone: list[weakref.ref[Any]] = [weakref.ref(wrapper)]
            with wrapper.query_log() as log:
                try:
                    wrapper.cursor().execute("INSERT")
                except IntegrityError as error:
                    gone.append(weakref.ref(error))
            del wrapper
            assert [ref() for ref in gone] == [None, None]
            assert len(log.records) == 1
            assert driver.open_connections == []
        finally:
            gc.enable()


class TestLoggers:
    def test_a_dropped_connection_that_fails_to_close_is_logged_by_class_alone(
        self, driver: Driver, caplog: pytest.LogCaptureFixture
    ) -> None:
        wrapper = fake_wrapper(driver, password="hunter2")
        wrapper.connect()
        driver.plan("close", Driver.OperationalError("password=hunter2 host=db"))
        with caplog.at_level(logging.DEBUG):
            del wrapper
        [record] = caplog.records
        assert (record.name, record.levelname) == ("backend_sdk", "WARNING")
        assert record.getMessage() == "closing a dropped connection failed: OperationalError"
        assert record.exc_info is None

    def test_nothing_else_is_logged_on_the_way(self, wrapper: FakeWrapper, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            with wrapper.atomic():
                wrapper.cursor().execute("SELECT %s", ("hunter2",))
            wrapper.close()
        assert caplog.records == []
