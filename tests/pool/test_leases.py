"""What happens between the wrapper and the pool: order of the steps, state of the session, end of the lease."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from backend_sdk import ConnectionClosedError, DatabaseWrapper, InterfaceError, OperationalError, TransactionStatus
from reference_backends.pooled import PoolClosed
from tests.core.fakes import FakeConnection, in_thread
from tests.pool.support import Bench, acquire, balanced, busy

OPENED = ["params", "connect", "configure_connection", "set_autocommit", "init_connection_state"]


def test_a_connection_is_opened_configured_and_initialized_once_in_the_contract_s_order() -> None:
    bench = Bench()
    wrapper = DatabaseWrapper(bench.backend())
    wrapper.connect()
    assert bench.steps() == [*OPENED, "set_autocommit"]  # the last is the wrapper's own, which costs nothing


def test_the_next_wrapper_gets_the_same_connection_reset_and_initialized() -> None:
    bench = Bench()
    backend = bench.backend()
    first = DatabaseWrapper(backend)
    connection = first.connection
    bench.steps()
    first.close()
    assert bench.steps() == ["is_broken", "reset", "set_autocommit", "init_connection_state"]
    second = DatabaseWrapper(backend)
    assert second.connection is connection
    assert bench.steps() == ["is_broken", "set_autocommit"]


def test_trusted_hands_on_without_a_word_to_the_server() -> None:
    bench = Bench()
    backend = bench.backend(reset="trusted")
    DatabaseWrapper(backend).connect()
    bench.pools.upkeep()
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    bench.steps()
    wrapper.close()
    wrapper.connect()
    assert bench.steps() == ["transaction_status", "is_broken", "set_autocommit"]


@pytest.mark.parametrize("status", [TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED])
def test_trusted_still_rolls_back_what_was_left_open(status: TransactionStatus) -> None:
    bench = Bench()
    wrapper = DatabaseWrapper(bench.backend(reset="trusted"))
    wrapper.connection.status = status
    bench.steps()
    wrapper.close()
    assert "rollback" in bench.steps()


def test_a_connection_that_cannot_be_reset_is_closed_and_its_slot_is_free_again() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    connection = wrapper.connection
    bench.driver.plan("reset", bench.driver.OperationalError("gone"))
    wrapper.close()
    assert connection.closed
    assert backend.pool.statistics().size == 0
    assert DatabaseWrapper(backend).connection is not connection


def test_a_broken_connection_is_not_shelved() -> None:
    bench = Bench()
    backend = bench.backend()
    wrapper = DatabaseWrapper(backend)
    wrapper.connection.broken = True
    wrapper.close()
    assert backend.pool.statistics().size == 0
    assert not bench.driver.open_connections


def test_an_idle_connection_that_broke_is_replaced_at_acquisition() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    first = wrapper.connection
    wrapper.close()
    first.broken = True
    assert wrapper.connection is not first
    assert first.closed
    assert backend.pool.statistics().broken == 1


@pytest.mark.parametrize("step", ["configure_connection", "set_autocommit", "init_connection_state"])
def test_a_failed_start_names_its_step_and_leaves_nothing(step: str) -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    bench.driver.plan(step, bench.driver.OperationalError("no"))
    with pytest.raises(OperationalError) as caught:
        DatabaseWrapper(backend).connect()
    assert caught.value.step == step
    assert not bench.driver.open_connections
    assert backend.pool.statistics().size == 0
    DatabaseWrapper(backend).connect()


def test_a_failed_connect_is_the_driver_s_error_and_gives_the_slot_back() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    bench.driver.plan("connect", bench.driver.OperationalError("unreachable"))
    with pytest.raises(OperationalError, match="unreachable") as caught:
        DatabaseWrapper(backend).connect()
    assert caught.value.step == "connect"
    acquire(backend)
    assert balanced(backend)


def test_idle_connections_are_taken_last_in_first_out() -> None:
    bench = Bench()
    backend = bench.backend()
    first, second = acquire(backend), acquire(backend)
    backend.close_connection(first)
    backend.close_connection(second)
    assert acquire(backend) is second
    assert acquire(backend) is first
    backend.close_connection(first)
    backend.close_connection(second)
    assert in_thread(lambda: acquire(backend)) is second  # a thread's first goes through the line


def test_a_held_cursor_is_refused_once_the_lease_has_ended() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    cursor = wrapper.cursor()
    wrapper.close()
    other = DatabaseWrapper(backend)
    other.connect()
    bench.steps()
    with pytest.raises(ConnectionClosedError):
        cursor.execute("SELECT 1")
    assert bench.steps() == []


def test_a_second_release_is_refused_and_takes_nothing_from_the_next_user() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    backend.close_connection(connection)
    with pytest.raises(InterfaceError, match="released twice"):
        backend.close_connection(connection)
    assert backend.pool.statistics().idle == 1


def test_a_dropped_wrapper_gives_back_without_a_word_and_the_next_user_finds_it_clean() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    gc.disable()
    try:
        wrapper = DatabaseWrapper(backend)
        wrapper.connect()
        bench.steps()
        del wrapper
        assert bench.steps() == []  # a finalizer must not wait for a server
        DatabaseWrapper(backend).connect()
        assert "reset" in bench.steps()
        assert backend.pool.statistics().opened == 1
    finally:
        gc.enable()


def test_what_somebody_holds_beyond_its_wrapper_is_closed_and_not_touched_before() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    connection = wrapper.connection
    bench.steps()
    del wrapper
    other = DatabaseWrapper(backend)
    assert other.connection is not connection
    assert bench.steps()[:2] == ["is_broken", "close"]  # no statement, beside one that its holder may be running
    assert connection.closed
    assert balanced(backend)


def test_upkeep_cleans_what_was_dropped() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    DatabaseWrapper(backend).connect()
    bench.steps()
    bench.pools.upkeep()
    assert "reset" in bench.steps()
    assert backend.pool.statistics().idle == 1


def test_a_finalizer_may_release_while_its_own_thread_is_inside_the_pool() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    with busy(backend.pool._line):  # as if the collector ran in the middle of a match
        del wrapper
    bench.pools.upkeep()
    assert backend.pool.statistics().idle == 1


def test_what_the_holder_reset_is_initialized_when_he_asks() -> None:
    bench = Bench()
    backend = bench.backend()
    connection = acquire(backend)
    backend.reset(connection)
    bench.steps()
    for _ in range(2):
        backend.init_connection_state(connection)
        assert bench.steps() == ["init_connection_state"]


def test_drain_closes_the_idle_at_once_and_the_leased_on_return() -> None:
    bench = Bench()
    backend = bench.backend()
    idle, leased = acquire(backend), acquire(backend)
    backend.close_connection(idle)
    backend.pool.drain()
    assert idle.closed
    assert not leased.closed
    backend.close_connection(leased)
    assert leased.closed
    fresh = acquire(backend)
    backend.close_connection(fresh)
    assert not fresh.closed


def test_a_closed_pool_refuses_and_closes_what_comes_back() -> None:
    bench = Bench()
    backend = bench.backend(reset="trusted")
    idle, leased = acquire(backend), acquire(backend)
    backend.close_connection(idle)
    backend.pool.close()
    backend.pool.close()
    assert idle.closed
    with pytest.raises(PoolClosed):
        acquire(backend)
    backend.close_connection(leased)
    assert leased.closed
    assert backend.pool.statistics().size == 0


def test_warm_up_opens_the_least_number_and_raises_what_the_driver_raises() -> None:
    bench = Bench()
    backend = bench.backend(min_size=2)
    bench.driver.plan("connect", bench.driver.OperationalError("not yet"))
    with pytest.raises(bench.driver.OperationalError):
        backend.pool.warm_up()
    backend.pool.warm_up()
    assert backend.pool.statistics().idle == 2


def test_what_is_dropped_after_the_pool_was_closed_is_closed_at_once() -> None:
    bench = Bench()
    backend = bench.backend()
    wrapper = DatabaseWrapper(backend)
    connection = wrapper.connection
    backend.pool.close()
    del wrapper
    assert connection.closed


@pytest.mark.parametrize("hashes", [lambda _: 1, None], ids=["by value", "not at all"])
def test_connections_that_equal_one_another_or_have_no_hash_are_told_apart(
    hashes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeConnection, "__eq__", lambda *_: True)
    monkeypatch.setattr(FakeConnection, "__hash__", hashes)
    bench = Bench()
    backend = bench.backend(reset="trusted", max_size=2)
    first, second = DatabaseWrapper(backend), DatabaseWrapper(backend)
    held, left = first.connection, second.connection
    second.close()
    assert first.connection is held
    assert second.connection is left
    first.close()
    second.close()
    assert backend.pool.statistics().idle == 2
    stranger = bench.driver.connect()
    backend.close_connection(stranger)
    assert stranger.closed
    assert backend.pool.statistics().size == 2


def test_of_two_who_release_one_connection_at_once_the_second_is_refused() -> None:
    bench = Bench()
    backend = bench.backend(max_size=2, reset="trusted")
    backend.close_connection(acquire(backend))
    connection = acquire(backend)
    others: list[Any] = []

    def meanwhile() -> None:
        with pytest.raises(InterfaceError, match="released twice"):
            in_thread(lambda: backend.close_connection(connection))
        others.append(in_thread(lambda: acquire(backend)))

    bench.driver.plan("transaction_status", meanwhile)
    backend.close_connection(connection)
    assert others[0] is not connection
