"""``connections[alias]``: per thread and task, lazily made, assignable."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextvars import copy_context
from typing import Any

import pytest

from backend_sdk import (
    Connections,
    DatabaseError,
    DatabaseErrorGroup,
    DatabaseWrapper,
    ImproperlyConfigured,
    OperationalError,
    ScopeError,
    ThreadSharingError,
    UnknownAliasError,
    allow_blocking,
)
from backend_sdk.lookup import Lookup
from tests.connections.tenants import tenant
from tests.core.fakes import Driver, in_thread


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="handler")
def make_handler(driver: Driver) -> Connections:
    return Connections({"default": tenant(driver), "replica": tenant(driver, "b")})


def test_lookup_makes_a_wrapper_once_and_opens_nothing(handler: Connections, driver: Driver) -> None:
    wrapper = handler["default"]
    assert handler["default"] is wrapper
    assert wrapper.alias == "default"
    assert driver.connections == []


def test_each_thread_has_its_own(handler: Connections) -> None:
    mine = handler["default"]
    theirs, again = in_thread(lambda: (handler["default"], handler["default"]))
    assert theirs is again
    assert theirs is not mine
    assert handler["default"] is mine


def test_each_task_has_its_own_and_never_the_threads(handler: Connections) -> None:
    async def look() -> tuple[Any, Any]:
        first = handler["default"]
        await asyncio.sleep(0)
        return first, handler["default"]

    async def both() -> list[tuple[Any, Any]]:
        return list(await asyncio.gather(look(), look()))

    mine = handler["default"]
    handler["default"]  # by the fast way, so that the context carries the thread's slot into the tasks
    (one, one_again), (two, two_again) = asyncio.run(both())
    assert one is one_again
    assert two is two_again
    assert len({mine, one, two}) == 3
    assert handler["default"] is mine


def test_to_thread_gets_the_worker_threads_own(handler: Connections) -> None:
    async def main() -> tuple[Any, Any]:
        return handler["default"], await asyncio.to_thread(lambda: handler["default"])

    mine = handler["default"]
    task, worker = asyncio.run(main())
    assert len({mine, task, worker}) == 3


def test_a_copied_context_in_another_thread_finds_nothing_in_it(handler: Connections) -> None:
    mine = handler["default"]
    context = copy_context()
    assert in_thread(lambda: context.run(lambda: handler["default"])) is not mine


def test_a_threads_connection_is_closed_when_it_ends_with_the_collector_off(
    handler: Connections, driver: Driver
) -> None:
    gc.disable()
    try:
        in_thread(lambda: handler["default"].connect())
        assert len(driver.connections) == 1
        assert driver.open_connections == []
    finally:
        gc.enable()


def test_a_tasks_connection_is_closed_when_it_ends_with_the_collector_off(handler: Connections, driver: Driver) -> None:
    async def use() -> None:
        with allow_blocking():
            handler["default"].connect()

    gc.disable()
    try:
        asyncio.run(use())
        assert len(driver.connections) == 1
        assert driver.open_connections == []
    finally:
        gc.enable()


def test_assigning_changes_this_thread_only(handler: Connections) -> None:
    replica = handler["replica"]
    handler["default"] = replica
    assert handler["default"] is replica
    assert in_thread(lambda: handler["default"].settings.name) == "a"


def test_deleting_lets_the_next_lookup_make_another(handler: Connections) -> None:
    before = handler["default"]
    del handler["default"]
    assert handler["default"] is not before


def test_deleting_what_was_not_looked_up_is_an_error(handler: Connections) -> None:
    with pytest.raises(KeyError):
        del handler["default"]


def test_assigning_what_is_no_wrapper_is_refused(handler: Connections) -> None:
    with pytest.raises(TypeError, match="DatabaseWrapper"):
        handler["default"] = "replica"  # type: ignore[assignment]  # on purpose


def test_iteration_names_configured_and_assigned_aliases(handler: Connections) -> None:
    handler["log"] = handler["default"].copy()
    assert list(handler) == ["default", "replica", "log"]
    assert len(handler) == 3
    assert "log" in handler
    assert "other" not in handler


def test_an_unknown_alias_names_the_nearest(handler: Connections) -> None:
    with pytest.raises(UnknownAliasError, match="did you mean 'replica'"):
        handler["replcia"]
    with pytest.raises(KeyError):
        handler["replcia"]


def test_all_makes_what_is_missing_unless_told_not_to(handler: Connections) -> None:
    assert handler.all(initialized_only=True) == []
    default = handler["default"]
    assert handler.all(initialized_only=True) == [default]
    assert handler.all() == [default, handler["replica"]]


def test_a_wrapper_under_two_aliases_is_closed_once(handler: Connections, driver: Driver) -> None:
    handler["default"] = handler["replica"]
    handler["default"].connect()
    handler.close_all()
    assert driver.log.count("close") == 1


def test_close_all_closes_every_one_even_when_one_raises(handler: Connections, driver: Driver) -> None:
    for wrapper in handler.all():
        wrapper.connect()
    driver.plan("close", driver.OperationalError("gone"))
    with pytest.raises(OperationalError, match="gone"):
        handler.close_all()
    assert not any(wrapper.is_open for wrapper in handler.all())
    assert driver.log.count("close") == 2


def test_close_all_raises_several_errors_as_one_group(handler: Connections, driver: Driver) -> None:
    for wrapper in handler.all():
        wrapper.connect()
    driver.plan("close", driver.OperationalError("one"), driver.OperationalError("two"))
    with pytest.raises(DatabaseErrorGroup) as caught:
        handler.close_all()
    assert len(caught.value.exceptions) == 2
    assert isinstance(caught.value, DatabaseError)


def test_close_all_leaves_what_another_thread_shares_alone(handler: Connections) -> None:
    mine = handler["default"]
    mine.connect()

    def borrow() -> None:
        handler["default"] = mine
        handler.close_all()

    with mine.shared():
        in_thread(borrow)
        assert mine.is_open


def test_handlers_side_by_side_do_not_meet(handler: Connections, driver: Driver) -> None:
    other = Connections({"default": tenant(driver, "elsewhere")})
    assert other["default"].settings.name == "elsewhere"
    assert handler["default"].settings.name == "a"


def test_an_unconfigured_handler_says_what_to_do() -> None:
    with pytest.raises(ImproperlyConfigured, match="configure"):
        Connections()["default"]


def test_configuring_anew_ends_what_was_made_before(handler: Connections, driver: Driver) -> None:
    old = handler["default"]
    old.connect()
    handler.configure({"default": tenant(driver, "new")})
    assert driver.open_connections == []
    assert handler["default"].settings.name == "new"
    with pytest.raises(ScopeError, match="configured anew"):
        old.connect()


def test_sources_may_be_mappings_urls_settings_and_backends(driver: Driver) -> None:
    backend = tenant(driver, "ready")
    handler = Connections(
        {
            "mapping": {"ENGINE": "sqlite3", "NAME": "m.db"},
            "url": "sqlite:///u.db",
            "backend": backend,
        }
    )
    handler.configure({**{alias: handler[alias].settings for alias in ("mapping", "url")}, "backend": backend})
    assert [handler[alias].settings.name for alias in handler] == ["m.db", "u.db", "ready"]


def test_a_mapping_changed_afterwards_changes_nothing(driver: Driver) -> None:
    sources = {"default": tenant(driver, "first")}
    handler = Connections(sources)
    sources["default"] = tenant(driver, "second")
    assert handler["default"].settings.name == "first"


def test_a_wrapper_as_source_serves_every_thread_that_may_use_it(handler: Connections) -> None:
    mine = handler["default"]
    other = Connections({"default": mine})
    with mine.shared():
        in_thread(lambda: other["default"].connect())
    assert mine.is_open


def test_a_connection_in_a_default_argument_is_refused_with_the_explanation(handler: Connections) -> None:
    def report(wrapper: DatabaseWrapper[Any, Any] = handler["default"]) -> None:
        wrapper.cursor()

    report()
    with pytest.raises(ThreadSharingError, match="default argument"):
        in_thread(report)


def test_a_dropped_handler_frees_everything_with_the_collector_off(driver: Driver) -> None:
    gc.disable()
    try:
        handler = Connections({"default": tenant(driver)})
        handler["default"].connect()
        gone = weakref.ref(handler["default"])
        del handler
        assert gone() is None
        assert driver.open_connections == []
    finally:
        gc.enable()


def test_a_thread_that_reuses_an_ident_inherits_nothing(handler: Connections) -> None:
    seen: list[Any] = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: seen.append(handler["default"]))
        thread.start()
        thread.join()
    assert len({id(wrapper) for wrapper in seen}) == 20


def test_a_lookup_that_meets_a_new_configuration_finds_what_holds_now(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Connections({"default": tenant(driver, "old")})
    resolve = Lookup._resolve

    def configured_meanwhile(self: Lookup, *args: Any) -> Any:
        monkeypatch.undo()
        made = resolve(self, *args)
        in_thread(lambda: handler.configure({"default": tenant(driver, "new")}))
        return made

    monkeypatch.setattr(Lookup, "_resolve", configured_meanwhile)
    assert handler["default"].settings.name == "new"
    handler["default"].connect()
