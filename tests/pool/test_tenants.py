"""Which pool is whose, and the cap over all of them."""

from __future__ import annotations

from typing import Any

import pytest

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    DatabaseWrapper,
    DelegatingBackend,
    ImproperlyConfigured,
    OperationalError,
    SupportsClose,
    SupportsConfigure,
    SupportsLeases,
    SupportsReset,
    load_backend_class,
    make_backend,
    settings_class_of,
)
from reference_backends.pooled import PooledBackend, PooledSettings, PoolOptions, Pools, PoolTimeout
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings
from tests.core.fakes import Driver, FakeBackend
from tests.pool.support import Bench, Resettable, Thread, acquire

ENGINE = "reference_backends.pooled:PooledBackend"


def mapping(**options: Any) -> dict[str, Any]:
    return {"ENGINE": ENGINE, "NAME": "some.sqlite3", "OPTIONS": {"wraps": "sqlite3", **options}}


def test_equal_backends_share_a_pool_and_another_database_has_its_own_whatever_the_alias() -> None:
    bench = Bench()
    first, again, other = bench.backend("one"), bench.backend("one"), bench.backend("two")
    assert first == again
    assert first.pool is again.pool
    assert first.pool is not other.pool
    connection = DatabaseWrapper(first, "default").connection
    assert DatabaseWrapper(other, "default").connection is not connection


def test_a_subclass_of_equal_settings_has_a_pool_of_its_own() -> None:
    class Special(Resettable, vendor="fake"): ...

    bench = Bench()
    settings = ConnectionSettings(engine="fake", name="one")
    special = PooledBackend(Special(settings, bench.driver), pools=bench.pools)
    assert special.pool is not bench.backend("one").pool


def test_an_engine_of_pooled_wraps_what_its_options_name_and_leaves_the_caller_s_settings_alone() -> None:
    given = mapping(pool={"max_size": 3}, timeout=2)
    before = {**given, "OPTIONS": dict(given["OPTIONS"])}
    backend = make_backend(given)
    assert given == before
    assert isinstance(backend, PooledBackend)
    assert isinstance(backend.wrapped, SQLiteBackend)
    assert backend.wrapped.settings.engine == "sqlite3"
    options: Any = backend.wrapped.settings.options
    assert options.timeout == 2
    assert backend.settings.options.wraps == "sqlite3"
    assert backend.pool.options.max_size == 3
    assert settings_class_of(load_backend_class(ENGINE)) is PooledSettings


def test_a_pool_made_in_code_can_be_made_again_from_its_settings() -> None:
    backend = PooledBackend(SQLiteBackend(SQLiteSettings(name="some.sqlite3")), PoolOptions(max_size=3))
    again = PooledBackend(backend.settings)
    assert again == backend
    assert again.pool is backend.pool


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"wraps": "sqlite3", "bar": 1}, "bar"),
        ({"wraps": "sqlite3", "pool": {"size": 1}}, "size"),
        ({"wraps": "sqlite3", "pool": {"min_size": 3, "max_size": 2}}, "min_size 3 is more than max_size 2"),
        ({"wraps": "no-such-engine"}, "no-such-engine"),
        ({"pool": {}}, "wraps"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=word):
        make_backend({"ENGINE": ENGINE, "NAME": "some.sqlite3", "OPTIONS": options})


def test_a_private_database_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="private database"):
        PooledBackend(SQLiteBackend(SQLiteSettings(name=":memory:")))


def test_a_backend_that_cannot_reset_is_refused_unless_trusted() -> None:
    class Plain(FakeBackend, vendor="fake"): ...

    inner = Plain(ConnectionSettings(engine="fake", name="x"), Driver())
    with pytest.raises(ImproperlyConfigured, match=r'SupportsReset.*reset="trusted"'):
        PooledBackend(inner)
    PooledBackend(inner, PoolOptions(reset="trusted"), pools=Pools(background=False))


def test_a_pool_of_a_pool_is_refused() -> None:
    bench = Bench()
    with pytest.raises(ImproperlyConfigured, match="a pool already"):
        PooledBackend(bench.backend())


def test_the_wrapped_backend_s_abilities_stay_visible() -> None:
    bench = Bench()
    backend = bench.backend()
    inner = backend.wrapped
    assert isinstance(inner, BaseBackend)
    assert backend.abilities == inner.abilities | {SupportsClose, SupportsConfigure, SupportsLeases}
    assert backend.vendor == "fake"
    wrapper = DatabaseWrapper(backend)
    assert wrapper.server_version == (1, 2)
    with wrapper.atomic(), wrapper.atomic():
        wrapper.cursor().execute("SELECT 1")
    steps = bench.steps()
    assert steps.count("begin") == steps.count("savepoint") == steps.count("commit") == 1


def test_a_structural_backend_can_be_pooled() -> None:
    class Structural(SupportsReset[Any]):
        """The required members and reset, and none of the base class."""

        def __init__(self, inner: Resettable) -> None:
            self.inner = inner

        def reset(self, connection: Any, /) -> None:
            self.inner.reset(connection)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        @property
        def settings(self) -> ConnectionSettings:
            return self.inner.settings

        def get_connection_params(self) -> dict[str, str]:
            return self.inner.get_connection_params()

        def get_new_connection(self, params: dict[str, str], /) -> Any:
            return self.inner.get_new_connection(params)

        def init_connection_state(self, connection: Any, /) -> None:
            self.inner.init_connection_state(connection)

        def _cursor(self, connection: Any, /) -> Any:
            return self.inner._cursor(connection)

    bench = Bench()
    inner = Resettable(ConnectionSettings(engine="fake", name="x"), bench.driver)
    backend = PooledBackend(Structural(inner), pools=bench.pools)
    wrapper = DatabaseWrapper(backend)
    connection = wrapper.connection
    wrapper.close()
    assert wrapper.connection is connection
    assert "reset" in bench.steps()


def test_a_traced_pool_works_as_the_pool_does() -> None:
    bench = Bench()
    pool = bench.backend()
    wrapper = DatabaseWrapper(DelegatingBackend(pool))
    wrapper.connect()
    wrapper.close()
    wrapper.connect()
    bench.steps()
    del wrapper
    assert bench.steps() == []  # not behind a tracer either does a finalizer wait for a server
    bench.pools.upkeep()
    assert pool.pool.statistics().idle == 1
    assert len(bench.driver.connections) == 1


def test_the_cap_evicts_the_connection_that_has_been_idle_longest_in_whichever_pool() -> None:
    bench = Bench(limit=2)
    tenants = [bench.backend(f"tenant {number}") for number in range(3)]
    idle = []
    for backend in tenants[:2]:
        connection = acquire(backend)
        backend.close_connection(connection)
        idle.append(connection)
        bench.clock.pass_by(1)
        bench.pools.upkeep()
    acquire(tenants[2])
    assert [connection.closed for connection in idle] == [True, False]
    assert len(bench.driver.open_connections) == 2


def test_who_finds_no_room_under_the_cap_waits_for_it_and_is_told_so() -> None:
    bench = Bench(limit=1)
    first, second = bench.backend("first"), bench.backend("second", timeout=0)
    held = acquire(first)
    with pytest.raises(PoolTimeout, match="all pools together may have 1"):
        acquire(second)
    assert second.pool.statistics().size == 0
    waiter = Thread(lambda: second.pool.acquire(30))
    while not bench.pools.room.hungry:
        assert waiter.is_alive()
    first.close_connection(held)
    waiter.finish()
    assert held.closed
    assert len(bench.driver.open_connections) == 1


def test_a_pool_stays_while_it_has_connections_and_goes_when_it_has_none() -> None:
    bench = Bench()
    backend = bench.backend(max_idle=10)
    connection = acquire(backend)
    backend.close_connection(connection)
    del backend
    assert bench.backend(max_idle=10).pool.statistics().idle == 1
    bench.clock.pass_by(11)
    bench.pools.upkeep()
    bench.pools.upkeep()
    assert bench.pools.pools == []
    assert connection.closed


def test_a_trusted_release_makes_room_too() -> None:
    bench = Bench(limit=1)
    first, second = bench.backend("first", reset="trusted"), bench.backend("second")
    first.close_connection(acquire(first))
    held = acquire(first)
    waiter = Thread(lambda: second.pool.acquire(30))
    while not bench.pools.room.hungry:
        assert waiter.is_alive()
    first.close_connection(held)
    waiter.finish()
    assert held.closed


@pytest.mark.parametrize("step", ["connect", "init_connection_state"])
def test_a_failed_open_gives_its_room_back(step: str) -> None:
    bench = Bench(limit=1)
    backend = bench.backend(timeout=0)
    bench.driver.plan(step, bench.driver.OperationalError("no"))
    with pytest.raises((bench.driver.OperationalError, OperationalError)):
        acquire(backend)
    acquire(backend)


def test_the_cap_is_set_before_the_first_connection() -> None:
    bench = Bench()
    bench.pools.set_limit(1)
    backend = bench.backend(timeout=0)
    acquire(backend)
    with pytest.raises(PoolTimeout):
        acquire(backend)
    with pytest.raises(ValueError, match="before the first connection"):
        bench.pools.set_limit(2)


def test_a_pool_made_long_before_its_first_connection_is_not_taken_for_idle_so_long() -> None:
    bench = Bench(limit=2)
    early, late, third = (bench.backend(f"tenant {number}") for number in range(3))
    used_before = acquire(early)
    bench.clock.pass_by(2)
    bench.pools.upkeep()
    early.close_connection(used_before)
    bench.clock.pass_by(3)
    used_last = acquire(late)
    late.close_connection(used_last)
    acquire(early)
    early.close_connection(used_before)
    bench.clock.pass_by(1)
    acquire(third)
    assert [used_before.closed, used_last.closed] == [True, False]
