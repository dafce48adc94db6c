"""Who waits, in which order, for how long, and what he is told."""

from __future__ import annotations

from typing import Any

import pytest

from backend_sdk import DatabaseWrapper, OperationalError
from reference_backends.pooled import PoolClosed, PoolTimeout
from tests.core.fakes import in_thread
from tests.pool.support import Bench, Thread, acquire, balanced, busy, standing_in_line, waiting


def test_waiters_are_served_in_the_order_they_came() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    served: list[int] = []
    threads: list[Thread] = []

    def work(number: int) -> None:
        mine = acquire(backend)
        served.append(number)
        backend.close_connection(mine)

    for number in range(5):
        threads.append(Thread(lambda number=number: work(number)))  # type: ignore[misc]  # the default is what binds it
        waiting(backend, number + 1)
    backend.close_connection(connection)
    for thread in threads:
        thread.finish()
    assert served == [0, 1, 2, 3, 4]
    assert len(bench.driver.connections) == 1


def test_nobody_overtakes_a_waiter() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, timeout=0)
    connection = acquire(backend)
    got: list[Any] = []
    waiter = Thread(lambda: got.append(backend.pool.acquire(30)))
    waiting(backend, 1)
    with busy(backend.pool._line):  # the hand-off is under way in another thread
        backend.close_connection(connection)
        with pytest.raises(PoolTimeout):
            acquire(backend)
    backend.pool.upkeep()
    backend.pool._line.dispatch()  # as the one who was at it does after letting go
    waiter.finish()
    assert got == [connection]


def test_a_timeout_says_pool_size_waiters_and_the_longest_holders() -> None:
    bench = Bench()
    backend = bench.backend(max_size=2, timeout=0)
    acquire(backend)
    bench.clock.pass_by(5)
    bench.pools.upkeep()
    acquire(backend)
    bench.clock.pass_by(7)
    with pytest.raises(PoolTimeout) as caught:
        DatabaseWrapper(backend).connect()
    text = str(caught.value)
    assert caught.value.step == "acquire"
    assert repr(backend.wrapped) in text
    assert "size 2 of 2" in text
    assert "0 idle" in text
    assert "1 waiting" in text
    assert "thread 'MainThread' for 12.0 s, thread 'MainThread' for 7.0 s" in text
    assert isinstance(caught.value, OperationalError)


def test_who_gave_up_gets_nothing_and_the_next_in_line_is_served() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    impatient = Thread(lambda: backend.pool.acquire(0.01))
    with pytest.raises(PoolTimeout):
        impatient.finish()
    patient = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    backend.close_connection(connection)
    assert patient.finish() is connection
    assert backend.pool.statistics().timeouts == 1


def test_closing_the_pool_wakes_those_who_wait() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    acquire(backend)
    waiter = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    backend.pool.close()
    with pytest.raises(PoolClosed):
        waiter.finish()


def test_a_failed_open_lets_the_next_waiter_try() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    first = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    second = Thread(lambda: acquire(backend))
    waiting(backend, 2)
    connection.broken = True
    bench.driver.plan("connect", bench.driver.OperationalError("down"))
    backend.close_connection(connection)
    with pytest.raises(bench.driver.OperationalError):
        first.finish()
    second.finish()
    assert balanced(backend)


def test_a_waiter_takes_and_cleans_what_a_finalizer_gave_back() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    waiter = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    bench.steps()
    del wrapper
    waiter.finish()
    assert "reset" in bench.steps()
    assert backend.pool.statistics().opened == 1


def test_an_interrupt_while_waiting_loses_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("reference_backends._pool.turns.Waiter.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            acquire(backend)
    backend.close_connection(acquire(backend))
    assert backend.pool.statistics().idle == 1


def test_what_was_shelved_while_the_pool_was_being_closed_is_not_handed_out() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, ping_after=0)
    connection = acquire(backend)
    backend.close_connection(connection)
    backend.pool._line.closed = True  # the first thing that close() does
    with pytest.raises(PoolClosed):
        acquire(backend)
    assert connection.closed


@pytest.mark.parametrize("drained", [False, True])
def test_what_goes_from_hand_to_hand_is_not_looked_at_again_unless_it_is_outdated(drained: bool) -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, reset="trusted")
    backend.close_connection(acquire(backend))
    connection = acquire(backend)
    waiter = Thread(lambda: acquire(backend))
    waiting(backend, 1)
    bench.steps()
    with busy(backend.pool._line):  # the hand-off is about to be made
        backend.close_connection(connection)
        if drained:
            backend.pool._sessions.generation += 1
    backend.pool._line.dispatch()
    assert (waiter.finish() is connection) is not drained
    assert drained or bench.steps() == ["transaction_status"]


def test_what_was_given_back_for_one_who_had_given_up_is_looked_at_before_the_next_gets_it() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1, max_idle=None, reset="trusted")
    backend.close_connection(acquire(backend))
    connection = acquire(backend)
    impatient = Thread(lambda: backend.pool.acquire(0.05))
    waiting(backend, 1)
    with busy(backend.pool._line):  # so that he is still in line when he has given up
        with pytest.raises(PoolTimeout):
            impatient.finish()
        backend.close_connection(connection)
    connection.broken = True
    assert in_thread(lambda: acquire(backend) is not connection)  # a thread's first is taken in line
    assert connection.closed


def test_who_waits_for_room_is_served_before_those_who_come_later() -> None:
    bench = Bench(limit=1)
    backend, other = bench.backend("first", max_size=2, timeout=0), bench.backend("second", max_size=1)
    connection = acquire(backend)
    waiter = Thread(lambda: acquire(other))
    standing_in_line(bench.pools.room, 1)
    backend.close_connection(connection)
    with pytest.raises(PoolTimeout):
        acquire(backend)
    assert waiter.finish().closed is False
    assert connection.closed


def test_the_time_one_has_waited_for_a_slot_is_not_waited_again_for_room() -> None:
    bench = Bench(limit=1)
    backend = bench.backend(max_size=2, timeout=20)
    acquire(backend)
    with pytest.raises(PoolTimeout, match="all pools together may have 1"):
        backend.pool.acquire(0.01)
