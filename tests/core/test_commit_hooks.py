"""What runs on commit: after it, in order, once, and only if the work it belongs to was kept."""

# The body of a block is what raises, so `pytest.raises` has to hold all of it.
# ruff: noqa: PT012

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import (
    DatabaseWrapper,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
    TransactionStatus,
)
from tests.core.fakes import Driver, FakeWrapper, fake_wrapper, sqlite_wrapper

SQLite = DatabaseWrapper[Any, Any]


class SomethingElse(Exception):
    """Nobody's but the test's."""


class Notes(list[str]):
    """Who ran."""

    def of(self, name: str) -> Callable[[], None]:
        return lambda: self.append(name)

    def failing(self, name: str, error: BaseException) -> Callable[[], None]:
        def fail() -> None:
            self.append(name)
            raise error

        return fail


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def wrapper(driver: Driver) -> FakeWrapper:
    return fake_wrapper(driver)


@pytest.fixture
def manual(driver: Driver) -> FakeWrapper:
    return fake_wrapper(driver, autocommit=False)


@pytest.fixture
def sqlite() -> Iterator[SQLite]:
    wrapper = sqlite_wrapper()
    yield wrapper
    wrapper.close()


class TestWhenTheyRun:
    def test_after_the_commit_in_the_order_of_registration(
        self, wrapper: FakeWrapper, driver: Driver, notes: Notes
    ) -> None:
        with wrapper.atomic():
            for name in ("one", "two", "three"):
                wrapper.on_commit(notes.of(name))
            wrapper.on_commit(lambda: notes.append(driver.log[-1]))
            assert notes == []
        assert notes == ["one", "two", "three", "commit"]

    def test_another_session_sees_the_work_by_then(self, tmp_path: Path) -> None:
        writer, reader = sqlite_wrapper(tmp_path / "db"), sqlite_wrapper(tmp_path / "db")
        writer.cursor().execute("CREATE TABLE t (i)")
        seen: list[object] = []
        with writer.atomic():
            writer.cursor().execute("INSERT INTO t VALUES (1)")
            writer.on_commit(lambda: seen.append(reader.cursor().execute("SELECT i FROM t").fetchall()))
        writer.close()
        reader.close()
        assert seen == [[(1,)]]

    def test_each_runs_once(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with wrapper.atomic():
            wrapper.on_commit(notes.of("one"))
        with wrapper.atomic():
            pass
        assert notes == ["one"]

    def test_those_of_inner_blocks_wait_for_the_outermost(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with wrapper.atomic():
            with wrapper.atomic():
                wrapper.on_commit(notes.of("inner"))
            with wrapper.atomic(savepoint=False):
                wrapper.on_commit(notes.of("without savepoint"))
            wrapper.on_commit(notes.of("outer"))
            assert notes == []
        assert notes == ["inner", "without savepoint", "outer"]

    def test_outside_of_a_block_they_run_at_once_and_open_nothing(
        self, wrapper: FakeWrapper, driver: Driver, notes: Notes
    ) -> None:
        wrapper.on_commit(notes.of("now"))
        assert notes == ["now"]
        assert driver.log == []

    def test_no_block_is_open_while_they_run(self, wrapper: FakeWrapper, notes: Notes) -> None:
        def work_on() -> None:
            assert not wrapper.in_atomic_block
            with wrapper.atomic(durable=True):
                wrapper.on_commit(notes.of("registered by a hook"))
            notes.append("hook")

        with wrapper.atomic():
            wrapper.on_commit(work_on)
            wrapper.on_commit(notes.of("last"))
        assert notes == ["registered by a hook", "hook", "last"]


class TestWhatDropsThem:
    def test_a_rollback(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with pytest.raises(SomethingElse), wrapper.atomic():
            wrapper.on_commit(notes.of("dropped"))
            raise SomethingElse
        with wrapper.atomic():
            pass
        assert notes == []

    def test_the_rollback_of_the_savepoint_they_are_under(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with wrapper.atomic():
            wrapper.on_commit(notes.of("before"))
            with pytest.raises(SomethingElse), wrapper.atomic():
                wrapper.on_commit(notes.of("dropped"))
                with wrapper.atomic():
                    wrapper.on_commit(notes.of("dropped with it"))
                raise SomethingElse
            with wrapper.atomic():
                wrapper.on_commit(notes.of("after"))
        assert notes == ["before", "after"]

    def test_the_rollback_of_a_savepoint_set_by_name(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with wrapper.atomic():
            wrapper.on_commit(notes.of("before"))
            outer = wrapper.savepoint()
            wrapper.on_commit(notes.of("dropped"))
            with wrapper.atomic():
                inner = wrapper.savepoint()
                wrapper.on_commit(notes.of("dropped too"))
                wrapper.savepoint_commit(inner)
            wrapper.savepoint_rollback(outer)
            wrapper.on_commit(notes.of("after"))
        assert notes == ["before", "after"]

    def test_not_the_release_of_one(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with wrapper.atomic():
            name = wrapper.savepoint()
            wrapper.on_commit(notes.of("kept"))
            wrapper.savepoint_commit(name)
        assert notes == ["kept"]

    def test_a_failing_commit(self, wrapper: FakeWrapper, driver: Driver, notes: Notes) -> None:
        driver.plan("commit", Driver.IntegrityError("deferred"))
        with pytest.raises(IntegrityError), wrapper.atomic():
            wrapper.on_commit(notes.of("dropped"))
        with wrapper.atomic():
            pass
        assert notes == []

    def test_a_transaction_that_was_ended_behind_our_back(self, sqlite: SQLite, notes: Notes) -> None:
        with pytest.raises(TransactionManagementError), sqlite.atomic():
            sqlite.on_commit(notes.of("dropped"))
            sqlite.cursor().execute("COMMIT")
        with sqlite.atomic():
            pass
        assert notes == []

    def test_closing_inside_the_block(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with pytest.raises(TransactionManagementError), wrapper.atomic():
            wrapper.on_commit(notes.of("dropped"))
            wrapper.close()
        with wrapper.atomic():
            pass
        assert notes == []

    def test_an_inner_failure_without_savepoint(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with pytest.raises(TransactionManagementError), wrapper.atomic():
            wrapper.on_commit(notes.of("dropped"))
            with pytest.raises(SomethingElse), wrapper.atomic(savepoint=False):
                raise SomethingElse
        assert notes == []

    def test_nothing_of_a_hook_is_kept_afterwards(self, wrapper: FakeWrapper) -> None:
        gc.disable()
        try:
            ran, dropped = Notes(), Notes()
            with wrapper.atomic():
                wrapper.on_commit(ran.of("ran"))
            with pytest.raises(SomethingElse), wrapper.atomic():
                wrapper.on_commit(dropped.of("dropped"))
                raise SomethingElse
            gone = [weakref.ref(ran), weakref.ref(dropped)]
            assert ran == ["ran"]
            del ran, dropped
            assert [ref() for ref in gone] == [None, None]
        finally:
            gc.enable()


class TestFailures:
    def test_one_ends_the_run_and_is_raised_after_the_commit(
        self, wrapper: FakeWrapper, driver: Driver, notes: Notes
    ) -> None:
        original = SomethingElse("mail server is down")
        with pytest.raises(SomethingElse) as caught, wrapper.atomic():
            wrapper.on_commit(notes.of("one"))
            wrapper.on_commit(notes.failing("two", original))
            wrapper.on_commit(notes.of("three"))
        assert caught.value is original
        assert notes == ["one", "two"]
        assert driver.log[-1] == "commit"
        assert not wrapper.in_atomic_block
        with wrapper.atomic():
            pass
        assert notes == ["one", "two"]

    def test_a_robust_one_is_logged_and_the_others_run(
        self, wrapper: FakeWrapper, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR, "backend_sdk"), wrapper.atomic():
            wrapper.on_commit(notes.failing("one", SomethingElse("x")), robust=True)
            wrapper.on_commit(notes.of("two"), robust=True)
            wrapper.on_commit(notes.of("three"))
        assert notes == ["one", "two", "three"]
        [record] = caplog.records
        assert (record.name, record.levelname) == ("backend_sdk", "ERROR")
        assert "fail raised SomethingElse" in record.getMessage()

    def test_a_robust_one_outside_of_a_block_is_robust_too(
        self, wrapper: FakeWrapper, notes: Notes, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR, "backend_sdk"):
            wrapper.on_commit(notes.failing("one", SomethingElse("x")), robust=True)
        assert len(caplog.records) == 1
        with pytest.raises(SomethingElse):
            wrapper.on_commit(notes.failing("two", SomethingElse("x")))

    def test_an_interrupt_is_never_swallowed(self, wrapper: FakeWrapper, notes: Notes) -> None:
        with pytest.raises(KeyboardInterrupt), wrapper.atomic():
            wrapper.on_commit(notes.failing("one", KeyboardInterrupt()), robust=True)
            wrapper.on_commit(notes.of("two"), robust=True)
        assert notes == ["one"]

    def test_a_hook_that_has_no_name_can_be_robust(
        self, wrapper: FakeWrapper, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Hook:
            def __call__(self) -> None:
                raise SomethingElse

        with caplog.at_level(logging.ERROR, "backend_sdk"), wrapper.atomic():
            wrapper.on_commit(Hook(), robust=True)
        assert "Hook" in caplog.records[0].getMessage()


class TestWithoutAutocommit:
    def test_those_of_blocks_wait_for_commit(self, manual: FakeWrapper, driver: Driver, notes: Notes) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("one"))
        with manual.atomic():
            manual.on_commit(notes.of("two"))
        assert notes == []
        manual.commit()
        assert notes == ["one", "two"]
        manual.commit()
        assert notes == ["one", "two"]

    def test_a_rollback_drops_them(self, manual: FakeWrapper, notes: Notes) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("dropped"))
        manual.rollback()
        manual.commit()
        assert notes == []

    def test_a_failing_block_drops_its_own_alone(self, manual: FakeWrapper, notes: Notes) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("kept"))
        with pytest.raises(SomethingElse), manual.atomic():
            manual.on_commit(notes.of("dropped"))
            raise SomethingElse
        manual.commit()
        assert notes == ["kept"]

    def test_a_failing_block_without_savepoint_drops_all(self, manual: FakeWrapper, notes: Notes) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("dropped"))
        with pytest.raises(SomethingElse), manual.atomic(savepoint=False):
            raise SomethingElse
        manual.commit()
        assert notes == []

    def test_a_transaction_ended_behind_our_back_drops_those_of_earlier_blocks_too(
        self, manual: FakeWrapper, driver: Driver, notes: Notes
    ) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("dropped"))
        with pytest.raises(TransactionManagementError, match="kept nothing"), manual.atomic():
            driver.connections[0].status = TransactionStatus.IDLE
        manual.commit()
        assert notes == []

    def test_a_savepoint_set_before_a_block_covers_it(self, manual: FakeWrapper, notes: Notes) -> None:
        name = manual.savepoint()
        for note in ("dropped", "dropped too"):
            with manual.atomic():
                manual.on_commit(notes.of(note))
        manual.savepoint_rollback(name)
        with manual.atomic():
            manual.on_commit(notes.of("kept"))
        manual.commit()
        assert notes == ["kept"]

    def test_a_failing_commit_keeps_them_for_the_next(self, manual: FakeWrapper, driver: Driver, notes: Notes) -> None:
        with manual.atomic():
            manual.on_commit(notes.of("one"))
        driver.plan("commit", Driver.OperationalError("locked"))
        with pytest.raises(OperationalError):
            manual.commit()
        assert notes == []
        manual.commit()
        assert notes == ["one"]

    def test_outside_of_a_block_they_are_refused(self, manual: FakeWrapper, notes: Notes) -> None:
        for _ in range(2):  # before it is open, and after
            with pytest.raises(TransactionManagementError, match="needs an atomic"):
                manual.on_commit(notes.of("refused"))
            manual.connect()
        assert notes == []
