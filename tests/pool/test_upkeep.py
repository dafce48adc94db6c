"""Ages, sizes, and what the background does."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from backend_sdk import DatabaseWrapper
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from tests.core.fakes import PATIENCE
from tests.pool.support import Bench, Clock, acquire


def test_an_idle_connection_is_pinged_only_when_idle_longer_than_the_limit() -> None:
    bench = Bench()
    for reset in ("full", "trusted"):
        backend = bench.backend(ping_after=30, max_idle=None, reset=reset)
        backend.close_connection(acquire(backend))
        bench.pools.upkeep()
        bench.clock.pass_by(29)
        bench.pools.upkeep()
        bench.steps()
        connection = acquire(backend)
        assert "ping" not in bench.steps()
        backend.close_connection(connection)
        bench.pools.upkeep()
        bench.clock.pass_by(30)
        bench.pools.upkeep()
        bench.steps()
        assert acquire(backend) is connection
        assert "ping" in bench.steps()


def test_a_failed_ping_means_a_new_connection() -> None:
    bench = Bench()
    backend = bench.backend(ping_after=30)
    first = acquire(backend)
    backend.close_connection(first)
    bench.clock.pass_by(31)
    bench.pools.upkeep()
    bench.driver.plan("ping", bench.driver.OperationalError("gone"))
    assert acquire(backend) is not first
    assert first.closed


def test_a_limit_of_none_at_all_pings_at_each_acquisition() -> None:
    bench = Bench()
    backend = bench.backend(ping_after=0)
    backend.close_connection(acquire(backend))
    bench.steps()
    acquire(backend)
    assert "ping" in bench.steps()


def test_idle_connections_beyond_the_least_number_are_closed_in_time() -> None:
    bench = Bench()
    backend = bench.backend(min_size=1, max_idle=60, ping_after=None)
    held = [acquire(backend) for _ in range(3)]
    for connection in held:
        backend.close_connection(connection)
    bench.clock.pass_by(59)
    bench.pools.upkeep()
    assert backend.pool.statistics().idle == 3
    bench.clock.pass_by(1)
    bench.pools.upkeep()
    assert backend.pool.statistics().idle == 1
    assert [connection.closed for connection in held] == [True, True, False]  # the one used last stays


def test_a_lease_is_no_idleness() -> None:
    bench = Bench()
    for reset in ("full", "trusted"):
        backend = bench.backend(max_idle=60, reset=reset)
        connection = acquire(backend)
        bench.clock.pass_by(100)
        bench.pools.upkeep()
        backend.close_connection(connection)
        bench.pools.upkeep()
        assert not connection.closed


def test_a_connection_past_its_lifetime_is_closed_idle_or_on_return() -> None:
    bench = Bench()
    for reset in ("full", "trusted"):
        backend = bench.backend(max_lifetime=100, max_idle=None, ping_after=None, reset=reset)
        idle, leased = acquire(backend), acquire(backend)
        backend.close_connection(idle)
        bench.clock.pass_by(100)
        bench.pools.upkeep()
        assert idle.closed
        assert not leased.closed
        backend.close_connection(leased)
        assert leased.closed


def test_lifetimes_are_spread_so_that_not_all_end_together() -> None:
    bench = Bench()
    chances = iter([0.0, 1.0])
    pools = Pools(clock=bench.clock, chance=lambda: next(chances), background=False)
    inner = bench.backend().wrapped
    backend = PooledBackend(inner, PoolOptions(max_lifetime=100, max_idle=None), pools=pools)
    first, second = acquire(backend), acquire(backend)
    backend.close_connection(first)
    backend.close_connection(second)
    bench.clock.pass_by(91)
    pools.upkeep()
    assert [first.closed, second.closed] == [False, True]


def test_the_pool_is_filled_up_again_and_patient_when_the_server_is_away() -> None:
    bench = Bench()
    backend = bench.backend(min_size=2)
    connection = acquire(backend)
    bench.pools.upkeep()
    assert backend.pool.statistics().size == 2
    connection.broken = True
    backend.close_connection(connection)
    bench.driver.plan("connect", bench.driver.OperationalError("away"))
    bench.pools.upkeep()
    bench.steps()
    bench.pools.upkeep()
    assert "connect" not in bench.steps()  # not at once again
    bench.clock.pass_by(1)
    bench.pools.upkeep()
    assert backend.pool.statistics().size == 2


def test_the_background_reclaims_what_was_dropped_and_pins_no_wrapper() -> None:
    bench = Bench()
    pools = Pools(clock=Clock())
    cleaned = threading.Event()
    backend = PooledBackend(bench.backend().wrapped, PoolOptions(max_size=1), pools=pools)
    wrapper = DatabaseWrapper(backend)
    wrapper.connect()
    seen = weakref.ref(wrapper)
    bench.driver.plan("reset", cleaned.set)
    gc.disable()
    try:
        del wrapper
        assert seen() is None
    finally:
        gc.enable()
    assert cleaned.wait(PATIENCE)
    pools.close()


def test_the_background_ends_with_its_pools() -> None:
    bench = Bench()
    pools = Pools()
    backend = PooledBackend(bench.backend().wrapped, PoolOptions(max_size=1), pools=pools)
    backend.close_connection(acquire(backend))
    thread = pools._thread
    assert thread is not None
    assert thread.daemon
    pools.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_what_was_being_cleaned_when_the_pool_was_drained_is_closed() -> None:
    bench = Bench()
    backend = bench.backend(max_size=1)
    connection = acquire(backend)
    bench.driver.plan("reset", backend.pool.drain)
    backend.close_connection(connection)
    assert connection.closed
    assert backend.pool.statistics().size == 0


def test_a_pool_whose_round_fails_does_not_keep_the_others_from_theirs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    first, second = bench.backend("first"), bench.backend("second", max_idle=10)
    for backend in (first, second):
        backend.close_connection(acquire(backend))

    def fail() -> None:
        raise ValueError("a mistake of its own")

    monkeypatch.setattr(first.pool, "upkeep", fail)
    bench.pools.upkeep()
    bench.clock.pass_by(20)
    bench.pools.upkeep()
    assert second.pool.statistics().size == 0
    assert "a round of a pool's upkeep failed" in caplog.text
