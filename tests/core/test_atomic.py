"""Nested transactions: all or nothing, whatever is raised, swallowed or ended behind the SDK's back."""

# The body of a block is what raises, so `pytest.raises` has to hold all of it.
# ruff: noqa: PT012

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_sdk import (
    ConnectionClosedError,
    DatabaseError,
    DatabaseWrapper,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
    TransactionStatus,
)
from tests.core.fakes import Driver, FakeWrapper, fake_wrapper, sqlite_wrapper

SQLite = DatabaseWrapper[Any, Any]
TRANSACTION_WORDS = {"begin", "commit", "rollback", "savepoint", "release_savepoint", "rollback_to_savepoint"}


class SomethingElse(Exception):
    """Nobody's but the test's."""


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def wrapper(driver: Driver) -> FakeWrapper:
    wrapper = fake_wrapper(driver, "reports")
    wrapper.connect()
    driver.log.clear()
    return wrapper


@pytest.fixture
def sqlite() -> Iterator[SQLite]:
    wrapper = sqlite_wrapper()
    wrapper.cursor().executescript("CREATE TABLE t (i INTEGER PRIMARY KEY ON CONFLICT ABORT)")
    yield wrapper
    wrapper.close()


@pytest.fixture
def manual() -> Iterator[SQLite]:
    wrapper = sqlite_wrapper(autocommit=False)
    wrapper.cursor().execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    wrapper.commit()
    yield wrapper
    wrapper.close()


def insert(wrapper: SQLite, *values: int) -> None:
    for value in values:
        wrapper.cursor().execute("INSERT INTO t VALUES (?)", (value,))


def rows(wrapper: SQLite) -> list[int]:
    return [i for (i,) in wrapper.cursor().execute("SELECT i FROM t ORDER BY i").fetchall()]


def sent(driver: Driver) -> list[str]:
    return [step for step in driver.log if step in TRANSACTION_WORDS | {"execute", "close"}]


class TestOneBlock:
    def test_it_commits(self, wrapper: FakeWrapper, driver: Driver) -> None:
        with wrapper.atomic():
            assert wrapper.in_atomic_block
            wrapper.cursor().execute("INSERT")
        assert sent(driver) == ["begin", "execute", "commit"]
        assert not wrapper.in_atomic_block

    def test_it_opens_the_connection_if_need_be(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.atomic():
            pass
        assert sent(driver) == ["begin", "commit"]

    @pytest.mark.parametrize("kind", [SomethingElse, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
    def test_it_rolls_back_whatever_is_raised(
        self, wrapper: FakeWrapper, driver: Driver, kind: type[BaseException]
    ) -> None:
        original = kind()

        def work() -> None:
            with wrapper.atomic():
                raise original

        with pytest.raises(kind) as caught:
            work()
        assert caught.value is original
        assert sent(driver) == ["begin", "rollback"]
        assert not wrapper.in_atomic_block

    def test_it_rolls_back_when_a_generator_that_holds_it_is_dropped(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        def work() -> Iterator[None]:
            with wrapper.atomic():
                yield

        held = [work()]
        next(held[0])
        assert wrapper.in_atomic_block
        held.clear()
        assert sent(driver) == ["begin", "rollback"]

    def test_a_statement_error_that_is_swallowed_costs_only_the_statement(self, sqlite: SQLite) -> None:
        with sqlite.atomic():
            insert(sqlite, 1)
            with pytest.raises(IntegrityError):
                insert(sqlite, 1)
            insert(sqlite, 2)
        assert rows(sqlite) == [1, 2]

    def test_the_same_object_may_be_entered_again_and_nested(self, sqlite: SQLite) -> None:
        block = sqlite.atomic()
        with block:
            insert(sqlite, 1)
            with pytest.raises(SomethingElse), block:
                insert(sqlite, 2)
                raise SomethingElse
        with block:
            insert(sqlite, 3)
        assert rows(sqlite) == [1, 3]

    def test_what_begin_refuses_leaves_no_block(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("begin", Driver.OperationalError("locked"))
        with pytest.raises(OperationalError, match="begin on 'reports': locked"), wrapper.atomic():
            pass
        assert sent(driver) == ["begin"]
        assert not wrapper.in_atomic_block
        with wrapper.atomic():
            pass
        assert sent(driver) == ["begin", "begin", "commit"]

    def test_an_interrupt_while_beginning_leaves_no_transaction_open(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        def interrupt() -> None:
            driver.connections[0].status = TransactionStatus.IN_TRANSACTION
            raise KeyboardInterrupt

        driver.plan("begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            wrapper.atomic().__enter__()
        assert driver.connections[0].status is TransactionStatus.IDLE
        assert not wrapper.in_atomic_block

    def test_a_session_that_could_not_roll_that_back_is_replaced(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("begin", KeyboardInterrupt())
        driver.plan("rollback", Driver.OperationalError("out of step"))
        with pytest.raises(KeyboardInterrupt):
            wrapper.atomic().__enter__()
        wrapper.cursor().execute("SELECT 1")
        assert driver.open_connections == driver.connections[1:]


class TestCommitFailures:
    def test_a_deferred_constraint_rolls_back_and_is_raised(self, sqlite: SQLite) -> None:
        sqlite.cursor().executescript(
            "CREATE TABLE child (i REFERENCES t DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1)"
        )
        with pytest.raises(IntegrityError) as caught, sqlite.atomic():
            sqlite.cursor().execute("INSERT INTO child VALUES (99)")
        assert caught.value.step == "commit"
        assert sqlite.cursor().execute("SELECT count(*) FROM child").fetchone() == (0,)
        assert not sqlite.connection.in_transaction
        with sqlite.atomic():
            insert(sqlite, 2)
        assert rows(sqlite) == [1, 2]

    @pytest.mark.parametrize("kind", [Driver.IntegrityError, SomethingElse, KeyboardInterrupt])
    def test_any_failure_of_commit_rolls_back(
        self, wrapper: FakeWrapper, driver: Driver, kind: type[BaseException]
    ) -> None:
        driver.plan("commit", kind("no"))
        with pytest.raises((IntegrityError, SomethingElse, KeyboardInterrupt)), wrapper.atomic():
            pass
        assert sent(driver) == ["begin", "commit", "rollback"]
        assert wrapper.is_open

    @pytest.mark.parametrize("kind", [Driver.OperationalError, SomethingElse, KeyboardInterrupt])
    def test_a_failing_rollback_costs_the_connection(
        self, wrapper: FakeWrapper, driver: Driver, kind: type[BaseException]
    ) -> None:
        driver.plan("rollback", kind("out of step"))
        with pytest.raises((ValueError, SomethingElse, KeyboardInterrupt)) as caught, wrapper.atomic():
            raise ValueError("the reason")
        assert isinstance(caught.value, ValueError) == (kind is Driver.OperationalError)
        assert driver.open_connections == []
        assert (wrapper.is_open, wrapper.in_atomic_block) == (False, False)
        wrapper.cursor().execute("SELECT 1")
        assert len(driver.connections) == 2

    def test_a_connection_lost_at_commit_is_replaced(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("commit", Driver.OperationalError("server is gone"))
        driver.plan("rollback", Driver.OperationalError("server is gone"))
        with pytest.raises(OperationalError, match="commit on 'reports': server is gone"), wrapper.atomic():
            pass
        assert driver.open_connections == []
        with wrapper.atomic():
            pass
        assert len(driver.open_connections) == 1

    @pytest.mark.parametrize("kind", [AttributeError, KeyboardInterrupt])
    def test_a_status_that_cannot_be_told_costs_the_connection_not_the_wrapper(
        self, wrapper: FakeWrapper, driver: Driver, kind: type[BaseException]
    ) -> None:
        driver.plan("transaction_status", kind("no"))
        with pytest.raises(kind), wrapper.atomic():
            pass
        assert (wrapper.in_atomic_block, driver.open_connections) == (False, [])
        wrapper.cursor().execute("SELECT 1")

    def test_a_driver_that_fails_to_tell_counts_as_having_lost_it(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("transaction_status", Driver.InterfaceError("closed"))
        with pytest.raises(TransactionManagementError, match="kept nothing of its work"), wrapper.atomic():
            pass
        assert "commit" not in driver.log


class TestNesting:
    def test_an_inner_block_is_a_savepoint(self, wrapper: FakeWrapper, driver: Driver) -> None:
        with wrapper.atomic():
            with wrapper.atomic():
                pass
            with pytest.raises(SomethingElse), wrapper.atomic():
                raise SomethingElse
        assert sent(driver) == [
            "begin", "savepoint", "release_savepoint", "savepoint", "rollback_to_savepoint", "commit",
        ]  # fmt: skip

    def test_an_inner_failure_that_is_swallowed_undoes_the_inner_work_alone(self, sqlite: SQLite) -> None:
        with sqlite.atomic():
            insert(sqlite, 1)
            with pytest.raises(SomethingElse), sqlite.atomic():
                insert(sqlite, 2)
                with sqlite.atomic():
                    insert(sqlite, 3)
                raise SomethingElse
            insert(sqlite, 4)
        assert rows(sqlite) == [1, 4]

    def test_savepoint_names_are_unique_in_a_session(self, sqlite: SQLite) -> None:
        names = set()
        for _ in range(2):
            with sqlite.atomic(), sqlite.atomic():
                names |= {sqlite.savepoint(), sqlite.savepoint()}
        assert len(names) == 4

    def test_without_a_savepoint_a_swallowed_failure_refuses_all_until_the_block_ends(self, sqlite: SQLite) -> None:
        cursor = sqlite.cursor()
        with pytest.raises(TransactionManagementError, match="kept nothing of its work"), sqlite.atomic():
            insert(sqlite, 1)
            with pytest.raises(SomethingElse), sqlite.atomic(savepoint=False):
                insert(sqlite, 2)
                raise SomethingElse
            for use in (
                lambda: cursor.execute("SELECT 1"),
                lambda: cursor.executemany("SELECT 1", []),
                lambda: cursor.executescript("SELECT 1"),
                lambda: sqlite.atomic().__enter__(),
                sqlite.savepoint,
                lambda: sqlite.on_commit(print),
            ):
                with pytest.raises(TransactionManagementError, match="savepoint=False"):
                    use()
        assert rows(sqlite) == []

    def test_the_nearest_savepoint_ends_that(self, sqlite: SQLite) -> None:
        with sqlite.atomic():
            insert(sqlite, 1)
            with pytest.raises(TransactionManagementError, match="kept nothing"), sqlite.atomic():
                insert(sqlite, 2)
                with pytest.raises(SomethingElse), sqlite.atomic(savepoint=False):
                    insert(sqlite, 3)
                    raise SomethingElse
            insert(sqlite, 4)
        assert rows(sqlite) == [1, 4]

    def test_a_savepoint_that_cannot_be_set_leaves_the_outer_block_usable(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        with wrapper.atomic():
            driver.plan("savepoint", Driver.OperationalError("no"))
            with pytest.raises(OperationalError, match="savepoint on 'reports'"), wrapper.atomic():
                pass
            wrapper.cursor().execute("INSERT")
        assert sent(driver) == ["begin", "savepoint", "execute", "commit"]

    @pytest.mark.parametrize("kind", [Driver.OperationalError, KeyboardInterrupt])
    def test_a_savepoint_that_cannot_be_released_is_rolled_back(
        self, wrapper: FakeWrapper, driver: Driver, kind: type[BaseException]
    ) -> None:
        with wrapper.atomic():
            driver.plan("release_savepoint", kind("no"))
            with pytest.raises((OperationalError, KeyboardInterrupt)), wrapper.atomic():
                pass
        assert sent(driver) == ["begin", "savepoint", "release_savepoint", "rollback_to_savepoint", "commit"]

    def test_a_savepoint_that_cannot_be_rolled_back_breaks_the_outer_block(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        cursor = wrapper.cursor()
        with pytest.raises(TransactionManagementError, match="rolling back to a savepoint failed"), wrapper.atomic():
            driver.plan("rollback_to_savepoint", Driver.OperationalError("no"))
            with pytest.raises(SomethingElse), wrapper.atomic():
                raise SomethingElse
            with pytest.raises(TransactionManagementError, match="execute refused"):
                cursor.execute("INSERT")
        assert sent(driver) == ["begin", "savepoint", "rollback_to_savepoint", "rollback"]

    def test_an_interrupt_while_rolling_back_to_a_savepoint_costs_the_connection(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        driver.plan("rollback_to_savepoint", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt), wrapper.atomic(), wrapper.atomic():
            raise SomethingElse
        assert driver.open_connections == []
        assert "commit" not in driver.log


class TestDurable:
    def test_the_outermost_block_may_be(self, sqlite: SQLite) -> None:
        with sqlite.atomic(durable=True):
            insert(sqlite, 1)
            with sqlite.atomic():
                insert(sqlite, 2)
        assert rows(sqlite) == [1, 2]

    def test_an_inner_one_may_not_and_sends_nothing(self, wrapper: FakeWrapper, driver: Driver) -> None:
        with wrapper.atomic():
            driver.log.clear()
            with pytest.raises(TransactionManagementError, match="must be the outermost"):
                wrapper.atomic(durable=True).__enter__()
            assert driver.log == []
            wrapper.cursor().execute("INSERT")
        assert driver.log[-1] == "commit"

    def test_without_autocommit_it_may_not_since_nothing_would_be_committed(self, manual: SQLite) -> None:
        with pytest.raises(TransactionManagementError, match="needs autocommit"):
            manual.atomic(durable=True).__enter__()


class TestDecorator:
    def test_each_call_is_a_block(self, sqlite: SQLite) -> None:
        @sqlite.atomic()
        def work(*values: int, fail: bool = False) -> int:
            """Documented."""
            insert(sqlite, *values)
            if fail:
                raise SomethingElse
            return sum(values)

        assert work(1, 2) == 3
        with pytest.raises(SomethingElse):
            work(3, fail=True)
        assert (work.__name__, work.__doc__) == ("work", "Documented.")
        assert rows(sqlite) == [1, 2]

    def test_a_recursive_function_nests(self, sqlite: SQLite) -> None:
        @sqlite.atomic()
        def down(value: int) -> None:
            insert(sqlite, value)
            if value:
                down(value - 1)

        down(3)
        assert rows(sqlite) == [0, 1, 2, 3]

    def test_functions_whose_body_runs_later_are_refused(self, wrapper: FakeWrapper) -> None:
        async def coroutine() -> None: ...

        def generator() -> Iterator[int]:
            yield 1

        async def asynchronous_generator() -> AsyncIterator[int]:
            yield 1

        for function in (coroutine, generator, asynchronous_generator):
            with pytest.raises(TypeError, match=rf"@atomic\(\) on .*{function.__name__}: .*with wrapper\.atomic\(\)"):
                wrapper.atomic()(function)
            with pytest.raises(TypeError, match="outside the block"):
                wrapper.atomic()(functools.partial(function))


class TestTransactionsEndedBehindOurBack:
    @pytest.mark.parametrize("word", ["COMMIT", "ROLLBACK"])
    def test_a_transaction_ended_in_words_fails_the_block_at_its_end(self, sqlite: SQLite, word: str) -> None:
        with (
            pytest.raises(TransactionManagementError, match="ended the block's transaction by itself"),
            sqlite.atomic(),
        ):
            insert(sqlite, 1)
            sqlite.cursor().execute(word)
        assert rows(sqlite) == ([1] if word == "COMMIT" else [])
        assert not sqlite.in_atomic_block

    def test_no_inner_block_begins_a_transaction_of_its_own_after_that(self, sqlite: SQLite) -> None:
        with pytest.raises(TransactionManagementError, match="kept nothing"), sqlite.atomic():
            sqlite.cursor().execute("COMMIT")
            with pytest.raises(TransactionManagementError, match="ended the block's transaction"), sqlite.atomic():
                insert(sqlite, 1)
            with pytest.raises(TransactionManagementError, match="execute refused"):
                insert(sqlite, 2)
        assert rows(sqlite) == []

    def test_on_conflict_rollback_breaks_the_block_at_once(self, sqlite: SQLite) -> None:
        cursor = sqlite.cursor()
        insert(sqlite, 1)
        with pytest.raises(TransactionManagementError, match="kept nothing"), sqlite.atomic():
            insert(sqlite, 2)
            with pytest.raises(IntegrityError):
                cursor.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
            for use in (
                lambda: cursor.execute("INSERT INTO t VALUES (3)"),
                lambda: cursor.executemany("INSERT INTO t VALUES (?)", [(3,)]),
                lambda: cursor.executescript("INSERT INTO t VALUES (3)"),
                lambda: sqlite.atomic().__enter__(),
                sqlite.savepoint,
            ):
                with pytest.raises(TransactionManagementError, match="ended the block's transaction"):
                    use()
        assert rows(sqlite) == [1]
        insert(sqlite, 4)
        assert rows(sqlite) == [1, 4]

    def test_its_error_comes_through_if_nothing_swallows_it(self, sqlite: SQLite) -> None:
        insert(sqlite, 1)
        with pytest.raises(IntegrityError), sqlite.atomic(), sqlite.atomic():
            sqlite.cursor().execute("INSERT OR ROLLBACK INTO t VALUES (1)")
        assert not sqlite.in_atomic_block

    def test_in_an_inner_block_it_breaks_the_outer_one_too(self, sqlite: SQLite) -> None:
        insert(sqlite, 1)
        with pytest.raises(TransactionManagementError, match="kept nothing"), sqlite.atomic():
            insert(sqlite, 2)
            with pytest.raises(IntegrityError), sqlite.atomic():
                sqlite.cursor().execute("INSERT OR ROLLBACK INTO t VALUES (1)")
            with pytest.raises(TransactionManagementError, match="refused"):
                insert(sqlite, 3)
        assert rows(sqlite) == [1]

    def test_a_script_breaks_the_block_at_once(self, sqlite: SQLite) -> None:
        with pytest.raises(TransactionManagementError, match="during executescript"), sqlite.atomic():
            insert(sqlite, 1)
            sqlite.cursor().executescript("INSERT INTO t VALUES (2)")  # the driver commits first
            with pytest.raises(TransactionManagementError, match="refused"):
                insert(sqlite, 3)
        assert rows(sqlite) == [1, 2]

    def test_a_hook_that_swallows_the_error_does_not_hide_it(self, sqlite: SQLite) -> None:
        def swallow(execute: Callable[..., object], *rest: object) -> object:
            try:
                return execute(*rest)
            except DatabaseError:
                return None

        insert(sqlite, 1)
        with pytest.raises(TransactionManagementError, match="kept nothing"), sqlite.atomic():
            with sqlite.execute_hook(swallow):
                sqlite.cursor().execute("INSERT OR ROLLBACK INTO t VALUES (1)")
            with pytest.raises(TransactionManagementError, match="refused"):
                insert(sqlite, 3)
        assert rows(sqlite) == [1]

    def test_a_transaction_that_takes_only_a_rollback_fails_the_block(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        """As PostgreSQL's after any error."""
        with pytest.raises(TransactionManagementError, match="takes only a rollback since"), wrapper.atomic():
            driver.connections[0].status = TransactionStatus.FAILED
        assert sent(driver) == ["begin", "rollback"]

    def test_a_savepoint_mends_such_a_transaction(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan(
            "rollback_to_savepoint",
            lambda: setattr(driver.connections[0], "status", TransactionStatus.IN_TRANSACTION),
        )
        with wrapper.atomic():
            with pytest.raises(TransactionManagementError, match="only a rollback"), wrapper.atomic():
                driver.connections[0].status = TransactionStatus.FAILED
            wrapper.cursor().execute("INSERT")
        assert sent(driver) == ["begin", "savepoint", "rollback_to_savepoint", "execute", "commit"]


class TestLostAndClosedConnections:
    def test_closing_inside_breaks_the_block(self, wrapper: FakeWrapper, driver: Driver) -> None:
        cursor = wrapper.cursor()
        with pytest.raises(TransactionManagementError, match="closed inside the block"), wrapper.atomic():
            wrapper.close()
            wrapper.close()
            driver.log.clear()
            uses: list[Callable[[], object]] = [
                wrapper.cursor,
                wrapper.connect,
                lambda: wrapper.connection,
                lambda: wrapper.atomic().__enter__(),
                wrapper.savepoint,
                lambda: wrapper.on_commit(print),
                lambda: wrapper.named_cursor("n"),
            ]
            for use in uses:
                with pytest.raises(TransactionManagementError, match="closed inside the block"):
                    use()
            with pytest.raises(ConnectionClosedError):
                cursor.execute("INSERT")
            assert driver.log == []
        assert not wrapper.in_atomic_block
        wrapper.cursor().execute("INSERT")
        assert len(driver.connections) == 2

    def test_closing_inside_an_inner_block_breaks_the_outer_one(self, wrapper: FakeWrapper, driver: Driver) -> None:
        with pytest.raises(TransactionManagementError), wrapper.atomic():
            with pytest.raises(TransactionManagementError), wrapper.atomic():
                wrapper.close()
            with pytest.raises(TransactionManagementError, match="refused"):
                wrapper.cursor()
        assert sent(driver) == ["begin", "savepoint", "close"]

    def test_a_close_that_raises_inside_breaks_it_as_well(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("close", Driver.OperationalError("broken pipe"))
        with pytest.raises(TransactionManagementError), wrapper.atomic():
            with pytest.raises(OperationalError, match="broken pipe"):
                wrapper.close()
            with pytest.raises(TransactionManagementError, match="refused"):
                wrapper.cursor()
        assert not wrapper.is_open

    def test_the_error_of_the_body_is_not_hidden(self, wrapper: FakeWrapper) -> None:
        with pytest.raises(SomethingElse), wrapper.atomic():
            wrapper.close()
            raise SomethingElse

    def test_a_lost_connection_breaks_the_block_and_is_replaced_after_it(
        self, wrapper: FakeWrapper, driver: Driver
    ) -> None:
        cursor = wrapper.cursor()
        with pytest.raises(TransactionManagementError, match="connection was lost during execute"), wrapper.atomic():
            driver.plan("execute", Driver.OperationalError("server is gone"))
            with pytest.raises(OperationalError):
                cursor.execute("INSERT")
            driver.log.clear()
            uses: list[Callable[[], object]] = [
                lambda: cursor.execute("INSERT"),
                lambda: wrapper.cursor().execute("INSERT"),
            ]
            for use in uses:
                with pytest.raises(TransactionManagementError, match="was lost"):
                    use()
            assert "execute" not in driver.log
        assert driver.open_connections == []
        wrapper.cursor().execute("SELECT 1")
        assert len(driver.connections) == 2


class TestWhatABlockDecidesItself:
    @pytest.mark.parametrize(
        "use",
        [
            lambda w: w.commit(),
            lambda w: w.rollback(),
            lambda w: w.set_autocommit(False),
            lambda w: w.set_read_only(True),
        ],
        ids=["commit", "rollback", "set_autocommit", "set_read_only"],
    )
    def test_its_end_and_mode_are_not_the_callers(
        self, wrapper: FakeWrapper, driver: Driver, use: Callable[[FakeWrapper], object]
    ) -> None:
        with wrapper.atomic():
            driver.log.clear()
            with pytest.raises(TransactionManagementError, match="not allowed inside atomic"):
                use(wrapper)
            assert driver.log == []
        assert driver.log[-1] == "commit"


class TestSavepointsByName:
    def test_work_since_a_savepoint_can_be_undone_or_kept(self, sqlite: SQLite) -> None:
        with sqlite.atomic():
            insert(sqlite, 1)
            undone = sqlite.savepoint()
            insert(sqlite, 2)
            sqlite.savepoint_rollback(undone)
            kept = sqlite.savepoint()
            insert(sqlite, 3)
            sqlite.savepoint_commit(kept)
        assert rows(sqlite) == [1, 3]

    @pytest.mark.parametrize(
        "use", [lambda w: w.savepoint(), lambda w: w.savepoint_commit("s1"), lambda w: w.savepoint_rollback("s1")]
    )
    def test_outside_of_a_transaction_they_are_refused(
        self, wrapper: FakeWrapper, driver: Driver, use: Callable[[FakeWrapper], object]
    ) -> None:
        with pytest.raises(TransactionManagementError, match="needs a transaction"):
            use(wrapper)
        assert driver.log == []


class TestWithoutAutocommit:
    def test_nothing_is_committed_until_commit(self, manual: SQLite) -> None:
        insert(manual, 1)
        manual.rollback()
        insert(manual, 2)
        manual.commit()
        manual.rollback()
        assert rows(manual) == [2]

    def test_a_block_is_a_savepoint_and_commits_nothing(self, manual: SQLite) -> None:
        with manual.atomic():
            insert(manual, 1)
        assert manual.connection.in_transaction
        manual.rollback()
        assert rows(manual) == []

    def test_a_failing_block_undoes_its_own_work_alone(self, manual: SQLite) -> None:
        insert(manual, 1)
        with pytest.raises(SomethingElse), manual.atomic():
            insert(manual, 2)
            raise SomethingElse
        manual.commit()
        assert rows(manual) == [1]

    def test_a_failing_block_without_savepoint_rolls_the_whole_transaction_back(self, manual: SQLite) -> None:
        insert(manual, 1)
        with pytest.raises(SomethingElse), manual.atomic(savepoint=False):
            insert(manual, 2)
            raise SomethingElse
        manual.commit()
        assert rows(manual) == []

    @pytest.mark.parametrize("savepoint", [True, False])
    def test_a_block_that_does_nothing_is_no_error(self, manual: SQLite, savepoint: bool) -> None:
        with manual.atomic(savepoint=savepoint):
            pass
        with manual.atomic(savepoint=savepoint):
            rows(manual)

    def test_a_savepoint_by_name_does_not_commit_when_released(self, manual: SQLite) -> None:
        name = manual.savepoint()
        insert(manual, 1)
        manual.savepoint_commit(name)
        manual.rollback()
        assert rows(manual) == []

    def test_a_savepoint_that_cannot_be_rolled_back_costs_the_transaction(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, autocommit=False)
        driver.plan("rollback_to_savepoint", Driver.OperationalError("no"))
        with pytest.raises(SomethingElse), wrapper.atomic():
            raise SomethingElse
        assert sent(driver) == ["begin", "savepoint", "rollback_to_savepoint", "rollback"]

    def test_a_transaction_lost_inside_a_block_is_noticed(self, manual: SQLite) -> None:
        with pytest.raises(TransactionManagementError, match="kept nothing"), manual.atomic():
            insert(manual, 1)
            manual.cursor().execute("ROLLBACK")
        assert rows(manual) == []

    def test_commit_and_rollback_do_not_open_a_connection(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, autocommit=False)
        wrapper.commit()
        wrapper.rollback()
        assert driver.log == []


class TestSwitchingAutocommit:
    def test_it_takes_effect(self, sqlite: SQLite) -> None:
        sqlite.set_autocommit(False)
        assert not sqlite.autocommit
        insert(sqlite, 1)
        sqlite.rollback()
        sqlite.set_autocommit(True)
        insert(sqlite, 2)
        assert sqlite.autocommit
        assert rows(sqlite) == [2]

    def test_it_is_refused_while_a_transaction_is_open_rather_than_commit_it(self, sqlite: SQLite) -> None:
        sqlite.set_autocommit(False)
        insert(sqlite, 1)
        with pytest.raises(TransactionManagementError, match="commit or roll back first"):
            sqlite.set_autocommit(True)
        sqlite.rollback()
        sqlite.set_autocommit(True)
        assert rows(sqlite) == []

    def test_a_failed_switch_is_not_noted(self, wrapper: FakeWrapper, driver: Driver) -> None:
        driver.plan("set_autocommit", Driver.OperationalError("no"))
        with pytest.raises(OperationalError, match="set_autocommit on 'reports'"):
            wrapper.set_autocommit(False)
        assert wrapper.autocommit


@dataclass(frozen=True)
class Tree:
    """A block: what it inserts and which blocks it contains, in order; whether it fails at its end."""

    parts: tuple[int | Tree, ...]
    savepoint: bool
    fails: bool


TREES = st.recursive(
    st.builds(Tree, parts=st.tuples(st.just(0)), savepoint=st.booleans(), fails=st.booleans()),
    lambda inner: st.builds(
        Tree,
        parts=st.lists(st.one_of(st.just(0), inner), max_size=4).map(tuple),
        savepoint=st.booleans(),
        fails=st.booleans(),
    ),
    max_leaves=12,
)


class TestAnyNesting:
    """Against a model: every block swallows what its inner blocks raise, and keeps all of its work or none."""

    @settings(deadline=None)
    @given(tree=TREES)
    def test_each_block_keeps_all_or_nothing(self, tree: Tree) -> None:
        wrapper = sqlite_wrapper()
        try:
            wrapper.cursor().execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
            try:
                self.run(wrapper, tree, count())
            except (SomethingElse, TransactionManagementError):
                pass
            expected, _ = self.model(tree, count(), outermost=True)
            assert rows(wrapper) == expected
            assert not wrapper.in_atomic_block
            assert not wrapper.connection.in_transaction
        finally:
            wrapper.close()

    def run(self, wrapper: SQLite, tree: Tree, numbers: Iterator[int]) -> None:
        with wrapper.atomic(savepoint=tree.savepoint):
            for part in tree.parts:
                number = next(numbers)
                try:
                    if isinstance(part, Tree):
                        self.run(wrapper, part, numbers)
                    else:
                        insert(wrapper, number)
                except (SomethingElse, TransactionManagementError):
                    pass
            if tree.fails:
                raise SomethingElse

    def model(self, tree: Tree, numbers: Iterator[int], *, outermost: bool) -> tuple[list[int], bool]:
        """What is kept of a block, and whether the enclosing one has to be rolled back for it."""
        work: list[int] = []
        doomed = False
        for part in tree.parts:
            number = next(numbers)
            if not isinstance(part, Tree):
                if not doomed:
                    work.append(number)
            elif doomed:
                continue  # refused as a whole: none of its numbers is taken
            else:
                inner, doomed = self.model(part, numbers, outermost=False)
                work += inner
        if tree.fails or doomed:
            return [], not (tree.savepoint or outermost)
        return sorted(work), False


def test_without_autocommit_a_hook_is_forgotten_with_the_transaction_that_the_database_ended(tmp_path: Path) -> None:
    wrapper = sqlite_wrapper(tmp_path / "some.db", autocommit=False)
    cursor = wrapper.cursor()
    cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    wrapper.commit()
    ran: list[str] = []
    with wrapper.atomic():
        cursor.execute("INSERT INTO t VALUES (1)")
        wrapper.on_commit(lambda: ran.append("of what is gone"))
    with pytest.raises(IntegrityError):
        cursor.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
    cursor.execute("INSERT INTO t VALUES (2)")
    wrapper.commit()
    assert ran == []
    assert cursor.execute("SELECT id FROM t").fetchall() == [(2,)]
    wrapper.close()
