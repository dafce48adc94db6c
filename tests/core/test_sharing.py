"""Sharing on purpose: counted, revocable, and never two threads in a driver that cannot take it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend_sdk import ConnectionClosedError, IntegrityError, ThreadSharingError, TransactionManagementError
from tests.core.fakes import (
    PATIENCE,
    CheckedFakeCursor,
    Driver,
    FakeCursor,
    FakeWrapper,
    Worker,
    fake_wrapper,
    in_thread,
    sqlite_wrapper,
)


@pytest.fixture
def driver() -> Driver:
    return Driver()


class TestLending:
    def test_others_may_use_it_for_the_length_of_the_block(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared():
            assert in_thread(lambda: wrapper.cursor().execute("SELECT 1").fetchone()) == (1,)
        with pytest.raises(ThreadSharingError):
            in_thread(wrapper.cursor)
        wrapper.cursor()
        assert len(driver.connections) == 1

    def test_it_can_be_lent_before_it_is_open(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared():
            in_thread(wrapper.connect)
        assert wrapper.is_open

    def test_it_is_counted(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared():
            with wrapper.shared():
                in_thread(wrapper.cursor)
            in_thread(wrapper.cursor)
            wrapper.inc_thread_sharing()
        in_thread(wrapper.cursor)
        wrapper.dec_thread_sharing()
        with pytest.raises(ThreadSharingError):
            in_thread(wrapper.cursor)

    def test_the_count_never_goes_below_zero(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, "reports")
        with pytest.raises(ThreadSharingError, match="'reports': it is not shared"):
            wrapper.dec_thread_sharing()
        wrapper.inc_thread_sharing()
        in_thread(wrapper.cursor)
        wrapper.dec_thread_sharing()
        with pytest.raises(ThreadSharingError, match="not shared"):
            wrapper.dec_thread_sharing()

    def test_a_block_left_by_an_exception_ends_it(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with pytest.raises(ValueError, match="no"), wrapper.shared():
            raise ValueError("no")
        with pytest.raises(ThreadSharingError):
            in_thread(wrapper.cursor)

    def test_a_borrower_can_neither_prolong_nor_end_it(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared():
            for lend in (wrapper.inc_thread_sharing, wrapper.dec_thread_sharing):
                with pytest.raises(ThreadSharingError):
                    in_thread(lend)
            in_thread(wrapper.cursor)
        with pytest.raises(ThreadSharingError):
            in_thread(wrapper.cursor)

    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    def test_a_cursor_that_a_borrower_kept_is_refused_afterwards(
        self, driver: Driver, cursor_class: type[FakeCursor]
    ) -> None:
        wrapper = fake_wrapper(driver, cursor_class=cursor_class)
        with wrapper.shared():
            cursor = in_thread(lambda: wrapper.cursor().execute("SELECT 1"))
            assert in_thread(cursor.fetchone) == (1,)
        driver.log.clear()
        for use in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, lambda: cursor.execute("SELECT 1")):
            with pytest.raises(ThreadSharingError):
                in_thread(use)
        assert driver.log == []
        assert cursor.fetchone() == (2,)  # the owner's, now as before

    @pytest.mark.parametrize("make", [fake_wrapper, None], ids=["fake", "sqlite"])
    def test_a_borrowers_iteration_stops_at_the_row_where_sharing_ends(
        self, driver: Driver, make: Callable[[Driver], Any] | None
    ) -> None:
        wrapper = make(driver) if make is not None else sqlite_wrapper()
        cursor = wrapper.cursor()
        wrapper.inc_thread_sharing()
        rows: Iterator[Any] = iter(cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3"))
        assert in_thread(next, rows) == (1,)
        wrapper.dec_thread_sharing()
        with pytest.raises(ThreadSharingError, match="iteration"):
            in_thread(next, rows)
        assert cursor.fetchone() == (2,)

    def test_a_borrower_may_close_and_the_owner_opens_again(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        cursor = wrapper.cursor()
        with wrapper.shared():
            in_thread(wrapper.close)
            in_thread(wrapper.close)
            assert driver.log.count("close") == 1
            with pytest.raises(ConnectionClosedError):
                cursor.execute("SELECT 1")
            wrapper.cursor().execute("SELECT 1")
        assert len(driver.connections) == 2

    @pytest.mark.parametrize(
        "use",
        [
            lambda w: w.atomic().__enter__(),
            lambda w: w.set_autocommit(False),
            lambda w: w.savepoint(),
            lambda w: w.on_commit(print),
            lambda w: w.execute_hook(print).__enter__(),
            lambda w: w.set_read_only(True),
        ],
        ids=["atomic", "set_autocommit", "savepoint", "on_commit", "execute_hook", "set_read_only"],
    )
    def test_transactions_and_hooks_stay_the_owners(self, driver: Driver, use: Callable[[FakeWrapper], object]) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        driver.log.clear()
        with wrapper.shared(), pytest.raises(ThreadSharingError):
            in_thread(use, wrapper)
        assert driver.log == []

    def test_a_borrower_works_inside_the_owners_block(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared(), wrapper.atomic():
            in_thread(lambda: wrapper.cursor().execute("INSERT"))
        sent = [step for step in driver.log if step in {"begin", "execute", "commit"}]
        assert sent == ["begin", "execute", "commit"]


class Meeting:
    """Holds the first thread that comes until a second one comes too, or *patience* seconds have passed."""

    def __init__(self, patience: float) -> None:
        self._barrier = threading.Barrier(2)
        self._patience = patience
        self.met = False

    def __call__(self) -> None:
        try:
            self._barrier.wait(self._patience)
            self.met = True
        except threading.BrokenBarrierError:
            pass


# How long a driver that may hold one thread only waits for the second, which must not come. A wrong SDK
# lets it in at once, so the wait costs a right one time but no certainty.
SHORT = 0.1

CALLS: dict[str, tuple[str, Callable[[FakeWrapper, Any], object]]] = {
    "execute": ("execute", lambda w, c: c.execute("SELECT 1")),
    "executemany": ("executemany", lambda w, c: c.executemany("INSERT", [()])),
    "fetchone": ("fetchone", lambda w, c: c.fetchone()),
    "fetchmany": ("fetchmany", lambda w, c: c.fetchmany()),
    "fetchall": ("fetchall", lambda w, c: c.fetchall()),
    "iteration": ("fetchone", lambda w, c: next(iter(c))),
    "cursor": ("cursor", lambda w, c: w.cursor()),
    "named_cursor": ("named_cursor", lambda w, c: w.named_cursor("n")),
    "close of a cursor": ("close cursor", lambda w, c: c.close()),
    "close": ("close", lambda w, c: w.close()),
    "is_usable": ("ping", lambda w, c: w.is_usable()),
    "commit": ("commit", lambda w, c: w.commit()),
    "server_version": ("server_version", lambda w, c: w.server_version),
}


class TestTakingTurns:
    @pytest.mark.parametrize("owner_first", [False, True])
    @pytest.mark.parametrize(("step", "call"), CALLS.values(), ids=CALLS)
    def test_below_thread_safety_2_no_call_overlaps_another(
        self, driver: Driver, step: str, call: Callable[[FakeWrapper, Any], object], owner_first: bool
    ) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        one, other = wrapper.cursor().execute("SELECT 1"), wrapper.cursor().execute("SELECT 1")
        meeting, inside = Meeting(SHORT), threading.Event()

        def come_first() -> None:
            inside.set()
            meeting()

        def execute() -> None:
            try:
                one.execute("SELECT 2")
            except ConnectionClosedError:
                assert step == "close"  # the borrower was faster

        with wrapper.shared():
            # The first comes into the driver and waits there for the second, which must not come.
            first, second = (step, "execute") if not owner_first else ("execute", step)
            driver.plan(first, come_first)
            driver.plan(second, meeting)
            if owner_first:
                borrower = Worker(lambda: inside.wait(PATIENCE) and call(wrapper, other))
                execute()
            else:
                borrower = Worker(lambda: call(wrapper, other))
                assert inside.wait(PATIENCE)
                execute()
            borrower.result()
        assert inside.is_set()
        assert (driver.collisions, meeting.met) == ([], False)

    @pytest.mark.parametrize("level", [2, 3])
    def test_from_thread_safety_2_on_threads_are_inside_at_the_same_time(self, driver: Driver, level: int) -> None:
        wrapper = fake_wrapper(driver, threadsafety=level)
        cursors = [wrapper.cursor(), wrapper.cursor()]
        meeting = Meeting(PATIENCE)
        driver.plan("execute", meeting, meeting)
        with wrapper.shared():
            for worker in [Worker(lambda c=cursor: c.execute("SELECT 1")) for cursor in cursors]:  # type: ignore[misc]  # a default binds the loop's variable
                worker.result()
        assert meeting.met

    @pytest.mark.parametrize("level", [0, 1])
    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    def test_many_threads_take_turns(self, driver: Driver, level: int, cursor_class: type[FakeCursor]) -> None:
        wrapper = fake_wrapper(driver, threadsafety=level, cursor_class=cursor_class)
        together = threading.Barrier(6)

        def work() -> None:
            together.wait(PATIENCE)
            for _ in range(20):
                cursor = wrapper.cursor()
                cursor.execute("SELECT 1")
                assert len(cursor.fetchall()) == 3
                cursor.close()

        with wrapper.shared():
            for worker in [Worker(work) for _ in range(6)]:
                worker.result()
        assert driver.collisions == []
        assert driver.log.count("execute") == 120

    def test_the_owner_waits_for_a_borrower_inside_the_driver_before_sharing_ends(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        mine, lent = wrapper.cursor(), wrapper.cursor()
        meeting, inside = Meeting(SHORT), threading.Event()

        def enter() -> None:
            inside.set()
            meeting()

        driver.plan("execute", enter, meeting)
        with wrapper.shared():
            borrower = Worker(lambda: lent.execute("SELECT 1"))
            assert inside.wait(PATIENCE)
        mine.execute("SELECT 2")  # by the short way again, which takes no turns
        borrower.result()
        assert (driver.collisions, meeting.met) == ([], False)

    def test_who_waits_for_a_turn_is_refused_if_sharing_ends_meanwhile(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        cursor = wrapper.cursor()
        wrapper.inc_thread_sharing()
        lock = WatchedLock()
        wrapper._ownership.lock = wrapper._ownership.turns = lock  # type: ignore[assignment]  # told from the lock alone: who waits
        with lock:
            lock.watched = True
            waiting = [Worker(lambda: cursor.execute("SELECT 1")), Worker(wrapper.connect), Worker(wrapper.close)]
            lock.await_waiters(len(waiting))
            driver.log.clear()
            wrapper.dec_thread_sharing()
        for worker in waiting:
            with pytest.raises(ThreadSharingError):
                worker.result()
        assert (driver.log, wrapper.is_open) == ([], True)

    def test_who_waits_for_a_turn_is_refused_if_the_connection_is_closed_meanwhile(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        cursor = wrapper.cursor()
        wrapper.inc_thread_sharing()
        lock = WatchedLock()
        wrapper._ownership.lock = wrapper._ownership.turns = lock  # type: ignore[assignment]  # as above
        with lock:
            lock.watched = True
            waiting, asking = Worker(lambda: cursor.execute("SELECT 1")), Worker(wrapper.is_usable)
            lock.await_waiters(2)
            wrapper.close()
            driver.log.clear()
        with pytest.raises(ConnectionClosedError):
            waiting.result()
        assert asking.result() is False
        assert driver.log == []

    @pytest.mark.parametrize("level", [1, 3])
    def test_borrowers_that_open_at_the_same_time_open_one_connection(self, driver: Driver, level: int) -> None:
        wrapper = fake_wrapper(driver, threadsafety=level)
        meeting = Meeting(SHORT)
        driver.plan("connect", meeting, meeting)
        with wrapper.shared():
            workers = [Worker(lambda: wrapper.cursor().execute("SELECT 1").fetchone()) for _ in range(2)]
            assert [worker.result() for worker in workers] == [(1,), (1,)]
        assert len(driver.connections) == 1
        assert not meeting.met

    def test_a_block_ends_in_turn(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        lent = wrapper.cursor()
        meeting, inside = Meeting(SHORT), threading.Event()

        def enter() -> None:
            inside.set()
            meeting()

        with wrapper.shared():
            with wrapper.atomic():
                driver.plan("execute", enter)
                driver.plan("transaction_status", meeting)
                borrower = Worker(lambda: lent.execute("SELECT 1"))
                assert inside.wait(PATIENCE)
            borrower.result()
        assert (driver.collisions, meeting.met) == ([], False)

    def test_an_error_is_looked_into_in_turn(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, threadsafety=1)
        mine, lent = wrapper.cursor(), wrapper.cursor()
        inside, borrowers = threading.Event(), list[Worker]()

        def let_another_try() -> None:
            borrowers.append(Worker(lambda: lent.execute("SELECT 1")))
            assert not inside.wait(SHORT)

        with wrapper.shared(), wrapper.atomic():
            driver.plan("execute", Driver.IntegrityError("twice"), inside.set)
            driver.plan("transaction_status", let_another_try)
            with pytest.raises(IntegrityError, match="twice"):
                mine.execute("INSERT")
            borrowers[0].result()
        assert inside.is_set()
        assert driver.collisions == []


class WatchedLock:
    """A lock that can be entered again and tells how many wait for it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._arrivals = threading.Semaphore(0)
        self.watched = False
        self.owner = threading.get_ident()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self.watched and threading.get_ident() != self.owner:
            self._arrivals.release()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def await_waiters(self, count: int) -> None:
        for _ in range(count):
            assert self._arrivals.acquire(timeout=PATIENCE)


@pytest.mark.parametrize("step", ["begin", "commit"])
def test_a_borrower_closes_before_a_block_or_after_it_but_not_between_its_steps(driver: Driver, step: str) -> None:
    wrapper = fake_wrapper(driver, threadsafety=2)
    wrapper.connect()
    borrowers: list[Worker] = []
    ran: list[str] = []
    closing = threading.Event()

    def close() -> None:
        closing.set()
        wrapper.close()

    def meanwhile() -> None:
        borrowers.append(Worker(close))
        closing.wait(PATIENCE)
        threading.Event().wait(SHORT)  # which would be enough for a close that waits for nobody

    def insert_after(borrower: Worker) -> None:
        borrower.result()
        wrapper.cursor().execute("INSERT")

    driver.plan(step, meanwhile)
    with wrapper.shared():
        if step == "begin":
            with pytest.raises(TransactionManagementError), wrapper.atomic():
                insert_after(borrowers[0])
        else:
            with wrapper.atomic():
                wrapper.on_commit(lambda: ran.append("hook"))
        borrowers[0].result()
    assert len(driver.connections) == 1
    assert ran == (["hook"] if step == "commit" else [])
