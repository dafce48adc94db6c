"""The sessions that a thread keeps from one scope to the next."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from backend_sdk import Connections, Databases, DelegatingBackend, OperationalError, Scopes
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings
from tests.connections.tenants import sqlite_tenant, tenant, tenant_name
from tests.core.fakes import Clock, Driver, FakeBackend, FakeConnection, in_thread


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="clock")
def make_clock() -> Clock:
    return Clock()


@pytest.fixture(name="handler")
def make_handler(driver: Driver, clock: Clock) -> Connections:
    return Connections({"default": tenant(driver, "base")}, cache_size=3, clock=clock)


@pytest.fixture(name="scope")
def make_scopes(handler: Connections) -> Scopes:
    return Scopes(handler)


def use(handler: Connections, scope: Scopes, backend: Any, alias: str = "default") -> Any:
    """One request that queries; returns the driver's connection that it got."""
    with scope({alias: backend}):
        handler[alias].cursor().execute("SELECT 1")
        return handler[alias].connection


def test_the_next_scope_pays_nothing(handler: Connections, scope: Scopes, driver: Driver) -> None:
    first = use(handler, scope, tenant(driver, conn_max_age=60))
    assert handler.kept_sessions == 1
    del driver.log[:]
    assert use(handler, scope, tenant(driver, conn_max_age=60)) is first
    assert "connect" not in driver.log
    assert "params" not in driver.log


def test_nor_under_another_alias(handler: Connections, scope: Scopes, driver: Driver) -> None:
    first = use(handler, scope, tenant(driver, conn_max_age=60))
    assert use(handler, scope, tenant(driver, conn_max_age=None), alias="other") is first


def test_other_settings_never_get_it(handler: Connections, scope: Scopes, driver: Driver) -> None:
    first = use(handler, scope, tenant(driver, "a", user="ann", conn_max_age=60))
    for changed in ({"user": "bob"}, {"user": "ann", "password": "x"}, {"user": "ann", "host": "h"}):
        assert use(handler, scope, tenant(driver, "a", conn_max_age=60, **changed)) is not first
    assert use(handler, scope, tenant(driver, "b", user="ann", conn_max_age=60)) is not first


def test_nor_another_backend_with_the_same_settings(handler: Connections, scope: Scopes, tmp_path: Path) -> None:
    class Marked(SQLiteBackend):
        def configure_connection(self, connection: Any, /) -> None:
            connection.create_function("marked", 0, lambda: 1)

    settings = SQLiteSettings.from_mapping(sqlite_tenant(tmp_path, "x", CONN_MAX_AGE=60))
    first = use(handler, scope, SQLiteBackend(settings))
    assert use(handler, scope, Marked(settings)) is not first


def test_each_thread_keeps_its_own(handler: Connections, scope: Scopes, driver: Driver) -> None:
    backend = tenant(driver, conn_max_age=60)
    first = use(handler, scope, backend)
    assert in_thread(use, handler, scope, backend) is not first
    assert len(driver.open_connections) == 1, "the other thread took its own along"


def test_without_an_age_nothing_is_kept(handler: Connections, scope: Scopes, driver: Driver) -> None:
    use(handler, scope, tenant(driver))
    assert handler.kept_sessions == 0
    assert driver.open_connections == []


def test_one_that_has_grown_too_old_is_replaced(
    handler: Connections, scope: Scopes, driver: Driver, clock: Clock
) -> None:
    backend = tenant(driver, conn_max_age=60)
    first = use(handler, scope, backend)
    clock.now += 59
    assert use(handler, scope, backend) is first
    clock.now += 1
    assert use(handler, scope, backend) is not first
    assert first.closed


def test_age_is_counted_from_the_opening_for_every_tenant(
    handler: Connections, scope: Scopes, driver: Driver, clock: Clock
) -> None:
    first = use(handler, scope, tenant(driver, "a", conn_max_age=10))
    clock.now += 11
    use(handler, scope, tenant(driver, "b", conn_max_age=60))
    assert first.closed, "another tenant's request closes it"


def test_a_shorter_age_in_the_next_settings_holds(
    handler: Connections, scope: Scopes, driver: Driver, clock: Clock
) -> None:
    first = use(handler, scope, tenant(driver, conn_max_age=60))
    clock.now += 30
    use(handler, scope, tenant(driver, conn_max_age=20))
    assert first.closed
    assert handler.kept_sessions == 0


def test_leftovers_of_the_session_are_reset(handler: Connections, scope: Scopes, tmp_path: Path) -> None:
    databases = Databases({"default": sqlite_tenant(tmp_path, "a", CONN_MAX_AGE=60)})
    with scope(databases):
        first = handler["default"].connection
        first.execute("CREATE TEMP TABLE scratch (x)")
        first.execute("PRAGMA query_only=1")
        handler["default"].atomic().__enter__()
    with scope(databases):
        assert handler["default"].connection is first
        assert not first.in_transaction
        assert first.execute("SELECT count(*) FROM sqlite_temp_master").fetchone() == (0,)
        assert first.execute("PRAGMA query_only").fetchone() == (0,)
        assert not handler["default"].in_atomic_block


def test_autocommit_is_put_back(handler: Connections, scope: Scopes, driver: Driver) -> None:
    backend = tenant(driver, conn_max_age=60)
    with scope({"default": backend}):
        handler["default"].set_autocommit(False)
    assert driver.open_connections[0].autocommit
    with scope({"default": backend}):
        assert handler["default"].autocommit


def test_one_that_cannot_be_reset_is_closed_quietly(handler: Connections, scope: Scopes, driver: Driver) -> None:
    driver.plan("reset", driver.OperationalError("no"))
    first = use(handler, scope, tenant(driver, conn_max_age=60))
    assert first.closed
    assert handler.kept_sessions == 0


def test_a_backend_that_cannot_reset_is_never_handed_on(handler: Connections, scope: Scopes, driver: Driver) -> None:
    settings = tenant(driver, conn_max_age=60).settings
    first = use(handler, scope, FakeBackend(settings, driver))
    assert first.closed


def test_one_that_failed_is_kept_only_if_it_still_works(handler: Connections, scope: Scopes, driver: Driver) -> None:
    backend = tenant(driver, conn_max_age=60)
    with scope({"default": backend}):
        driver.plan("execute", driver.OperationalError("failed"))
        with pytest.raises(OperationalError):
            handler["default"].cursor().execute("SELECT 1")
        driver.plan("ping", driver.OperationalError("gone"))
    assert driver.open_connections == []


def test_with_health_checks_the_next_use_starts_with_a_look(
    handler: Connections, scope: Scopes, driver: Driver
) -> None:
    backend = tenant(driver, conn_max_age=60, conn_health_checks=True)
    first = use(handler, scope, backend)
    driver.plan("ping", driver.OperationalError("gone"))
    second = use(handler, scope, backend)
    assert second is not first
    assert first.closed


def test_beyond_the_limit_the_one_unused_longest_goes(handler: Connections, scope: Scopes, driver: Driver) -> None:
    backends = {name: tenant(driver, name, conn_max_age=60) for name in "abcd"}
    made = {name: use(handler, scope, backends[name]) for name in "abc"}
    assert use(handler, scope, backends["a"]) is made["a"]
    use(handler, scope, backends["d"])
    assert handler.kept_sessions == 3
    assert [name for name in "abc" if made[name].closed] == ["b"]


def test_two_aliases_of_one_database_have_a_session_each(handler: Connections, scope: Scopes, driver: Driver) -> None:
    backend = tenant(driver, conn_max_age=60)
    both = {"default": backend, "log": backend}
    with scope(both):
        first = {wrapper.connection for wrapper in handler.all()}
        assert len(first) == 2
    with scope(both):
        assert {wrapper.connection for wrapper in handler.all()} == first


def test_a_private_memory_database_is_never_handed_on(handler: Connections, scope: Scopes) -> None:
    private = {"default": {"ENGINE": "sqlite3", "NAME": ":memory:", "CONN_MAX_AGE": None}}
    with scope(private):
        handler["default"].cursor().execute("CREATE TABLE secret (x)")
    assert handler.kept_sessions == 0
    with scope(private), handler["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sqlite_master")
        assert cursor.fetchone() == (0,)


def test_a_shared_one_is_closed_rather_than_kept(handler: Connections, scope: Scopes, driver: Driver) -> None:
    with scope({"default": tenant(driver, conn_max_age=60)}), handler["default"].shared():
        in_thread(handler["default"].connect)
    assert driver.open_connections == []


def test_the_end_of_the_thread_closes_what_it_kept(handler: Connections, scope: Scopes, driver: Driver) -> None:
    gc.disable()
    try:
        in_thread(use, handler, scope, tenant(driver, conn_max_age=None))
        assert len(driver.connections) == 1
        assert driver.open_connections == []
    finally:
        gc.enable()


def test_forget_sessions_closes_them(handler: Connections, scope: Scopes, driver: Driver) -> None:
    use(handler, scope, tenant(driver, conn_max_age=60))
    handler.forget_sessions()
    assert driver.open_connections == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_opens_its_own_and_leaves_what_was_kept_alone(tmp_path: Path) -> None:
    handler = Connections()
    scope = Scopes(handler)
    databases = Databases({"default": sqlite_tenant(tmp_path, "a", CONN_MAX_AGE=None)})

    def serve() -> Any:
        with scope(databases):
            assert tenant_name(handler) == "a"
            return handler["default"].connection

    kept = serve()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if serve() is not kept else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert serve() is kept


class Around(DelegatingBackend[Any, Any, FakeConnection, Any], vendor="around"):
    """Sets up each session by settings of its own."""

    @override
    def init_connection_state(self, connection: FakeConnection, /) -> None:
        connection.do(f"init for {self.settings.user}")


def test_other_settings_of_a_backend_around_never_get_it(handler: Connections, scope: Scopes, driver: Driver) -> None:
    inner = tenant(driver, conn_max_age=60)
    one, two = (Around(inner, inner.settings.derive(user=name)) for name in ("ann", "bob"))
    first = use(handler, scope, one)
    assert use(handler, scope, two) is not first
    assert use(handler, scope, one) is first
    assert "init for bob" in driver.log
