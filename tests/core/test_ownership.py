"""Ownership before action: whoever does not own a wrapper is refused before anything is done."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from backend_sdk import DatabaseWrapper, ThreadSharingError
from conformance.probes import of_lasting_threads
from tests.core.fakes import (
    CheckedFakeCursor,
    Driver,
    FakeCursor,
    FakeWrapper,
    Worker,
    fake_wrapper,
    in_thread,
    sqlite_wrapper,
)

Use = Callable[[FakeWrapper], object]


def enter(manager: Any) -> None:
    with manager:
        pass


USES: dict[str, Use] = {
    "cursor": lambda w: w.cursor(),
    "named_cursor": lambda w: w.named_cursor("n"),
    "connect": lambda w: w.connect(),
    "connection": lambda w: w.connection,
    "close": lambda w: w.close(),
    "is_usable": lambda w: w.is_usable(),
    "close_if_unusable_or_obsolete": lambda w: w.close_if_unusable_or_obsolete(),
    "temporary_connection": lambda w: enter(w.temporary_connection()),
    "atomic": lambda w: enter(w.atomic()),
    "commit": lambda w: w.commit(),
    "rollback": lambda w: w.rollback(),
    "set_autocommit": lambda w: w.set_autocommit(False),
    "savepoint": lambda w: w.savepoint(),
    "savepoint_commit": lambda w: w.savepoint_commit("s1"),
    "savepoint_rollback": lambda w: w.savepoint_rollback("s1"),
    "on_commit": lambda w: w.on_commit(lambda: None),
    "inc_thread_sharing": lambda w: w.inc_thread_sharing(),
    "dec_thread_sharing": lambda w: w.dec_thread_sharing(),
    "shared": lambda w: enter(w.shared()),
    "execute_hook": lambda w: enter(w.execute_hook(lambda execute, *rest: execute(*rest))),
    "query_log": lambda w: enter(w.query_log()),
    "set_read_only": lambda w: w.set_read_only(True),
    "server_version": lambda w: w.server_version,
}

CURSOR_USES: dict[str, Callable[[Any], object]] = {
    "execute": lambda c: c.execute("SELECT 1"),
    "execute with params": lambda c: c.execute("SELECT %s", (1,)),
    "executemany": lambda c: c.executemany("SELECT %s", [(1,)]),
    "callproc": lambda c: c.callproc("p"),
    "nextset": lambda c: c.nextset(),
    "fetchone": lambda c: c.fetchone(),
    "fetchmany": lambda c: c.fetchmany(2),
    "fetchall": lambda c: c.fetchall(),
    "next": lambda c: next(c),
    "iteration": lambda c: list(c),
}


@pytest.fixture
def driver() -> Driver:
    return Driver()


class TestTheWrapper:
    def test_every_public_operation_is_listed_here(self) -> None:
        free = {"alias", "autocommit", "backend", "begin_atomic", "cancel", "copy", "end_atomic", "fingerprint"}
        free |= {"in_atomic_block", "is_open", "settings", "vendor"}
        public = {name for name in vars(DatabaseWrapper) if not name.startswith("_")}
        assert public == set(USES) | free

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_an_unopened_one_refuses_a_foreign_thread_and_opens_nothing(self, driver: Driver, use: Use) -> None:
        wrapper = fake_wrapper(driver)
        with pytest.raises(ThreadSharingError):
            in_thread(use, wrapper)
        assert (driver.log, wrapper.is_open) == ([], False)

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_an_open_one_refuses_a_foreign_thread_before_a_word_is_sent(self, driver: Driver, use: Use) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
        driver.log.clear()
        with pytest.raises(ThreadSharingError):
            in_thread(use, wrapper)
        assert (driver.log, wrapper.is_open) == ([], True)

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_one_in_a_block_refuses_a_foreign_thread_and_keeps_the_block(self, driver: Driver, use: Use) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.atomic():
            driver.log.clear()
            with pytest.raises(ThreadSharingError):
                in_thread(use, wrapper)
            assert driver.log == []
        assert driver.log[-1] == "commit"

    def test_a_refused_call_leaves_nothing_behind(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        for use in USES.values():
            with pytest.raises(ThreadSharingError):
                in_thread(use, wrapper)
        with pytest.raises(ThreadSharingError, match="not shared"):
            wrapper.dec_thread_sharing()
        wrapper.cursor().execute("SELECT 1")
        assert driver.log[:2] == ["params", "connect"]
        assert driver.log[-2:] == ["cursor", "execute"]
        assert len(driver.log) == 7
        assert (wrapper.in_atomic_block, wrapper.autocommit) == (False, True)

    def test_the_end_of_a_block_is_refused_too(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        block = wrapper.atomic()
        block.__enter__()
        driver.log.clear()
        with pytest.raises(ThreadSharingError):
            in_thread(block.__exit__, None, None, None)
        assert (driver.log, wrapper.in_atomic_block) == ([], True)
        block.__exit__(None, None, None)
        assert driver.log[-1] == "commit"

    def test_looking_and_copying_are_anybodys(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, "reports")

        def look() -> tuple[object, ...]:
            wrapper.copy()
            return wrapper.alias, wrapper.is_open, wrapper.in_atomic_block, wrapper.autocommit, wrapper.vendor

        assert in_thread(look) == ("reports", False, False, True, "fake")
        assert in_thread(lambda: (wrapper.fingerprint, repr(wrapper), hash(wrapper)))[2] == hash(wrapper)

    def test_the_error_names_alias_owner_and_caller_and_a_way_out(self, driver: Driver) -> None:
        wrapper = Worker(lambda: fake_wrapper(driver, "reports"), name="the owner").result()
        with pytest.raises(ThreadSharingError) as caught:
            Worker(wrapper.cursor, name="the caller").result()
        text = str(caught.value)
        assert "cursor on 'reports' refused" in text
        assert "made by thread 'the owner'" in text
        assert "used by thread 'the caller'" in text
        assert "wrapper.shared()" in text

    def test_a_copied_context_carries_no_ownership_into_another_thread(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        context = contextvars.copy_context()
        with pytest.raises(ThreadSharingError):
            in_thread(context.run, wrapper.cursor)

    def test_dropping_the_last_reference_elsewhere_is_no_use(self, driver: Driver) -> None:
        held = [fake_wrapper(driver)]
        held[0].connect()
        in_thread(held.clear)
        assert driver.open_connections == []


class TestHeldCursors:
    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    @pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
    def test_a_foreign_thread_is_refused(
        self, driver: Driver, cursor_class: type[FakeCursor], use: Callable[[Any], object]
    ) -> None:
        wrapper = fake_wrapper(driver, "reports", cursor_class=cursor_class)
        cursor = wrapper.cursor()
        cursor.execute("SELECT 1")
        driver.log.clear()
        with pytest.raises(ThreadSharingError, match="on 'reports' refused"):
            in_thread(use, cursor)
        assert driver.log == []
        use(cursor)
        assert driver.log != []

    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    def test_so_is_its_closing_where_that_is_checked(self, driver: Driver, cursor_class: type[FakeCursor]) -> None:
        wrapper = fake_wrapper(driver, cursor_class=cursor_class)
        cursor = wrapper.cursor()
        with pytest.raises(ThreadSharingError):
            in_thread(cursor.close)
        assert "close cursor" not in driver.log

    def test_so_is_a_script(self) -> None:
        wrapper = sqlite_wrapper()
        cursor = wrapper.cursor()
        with pytest.raises(ThreadSharingError, match="executescript"):
            in_thread(cursor.executescript, "CREATE TABLE t (i)")
        assert cursor.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        wrapper.close()

    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    def test_an_iteration_cannot_be_carried_on_elsewhere(self, driver: Driver, cursor_class: type[FakeCursor]) -> None:
        wrapper = fake_wrapper(driver, cursor_class=cursor_class)
        rows = iter(wrapper.cursor().execute("SELECT 1"))  # type: ignore[call-overload]  # iteration is optional in PEP 249
        assert next(rows) == (1,)
        with pytest.raises(ThreadSharingError, match="iteration"):
            in_thread(next, rows)


class TestReusedThreadIdents:
    """The operating system gives a dead thread's ident to a later one, as a rule to the very next."""

    @staticmethod
    def in_a_thread_with_ident(ident: int, function: Callable[[], object]) -> object:
        def attempt() -> tuple[bool, object]:
            if threading.get_ident() != ident:
                return False, None
            try:
                return True, function()
            except ThreadSharingError as error:
                return True, error

        with closing(of_lasting_threads(64, attempt)) as outcomes:
            for hit, outcome in outcomes:
                if hit:
                    return outcome
        pytest.fail("this system gave the ident to none of 64 threads that live at once")

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_a_later_thread_with_the_owners_ident_is_refused(self, driver: Driver, use: Use) -> None:
        def make() -> tuple[int, FakeWrapper]:
            wrapper = fake_wrapper(driver)
            wrapper.cursor()
            return threading.get_ident(), wrapper

        ident, wrapper = Worker(make).result()
        driver.log.clear()
        outcome = self.in_a_thread_with_ident(ident, lambda: use(wrapper))
        assert isinstance(outcome, ThreadSharingError)
        assert driver.log == []

    @pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
    def test_so_is_it_at_a_held_cursor(self, driver: Driver, use: Callable[[Any], object]) -> None:
        def make() -> tuple[int, FakeWrapper, FakeCursor]:
            wrapper = fake_wrapper(driver, cursor_class=CheckedFakeCursor)
            return threading.get_ident(), wrapper, wrapper.cursor().execute("SELECT 1")

        ident, wrapper, cursor = Worker(make).result()
        driver.log.clear()
        outcome = self.in_a_thread_with_ident(ident, lambda: use(cursor))
        assert isinstance(outcome, ThreadSharingError)
        assert driver.log == []
        assert wrapper.is_open
