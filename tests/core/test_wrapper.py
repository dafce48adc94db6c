"""The wrapper itself: opening as a whole or not at all, closing, copies, and what it is not."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
from collections.abc import Callable

import pytest
from typing_extensions import override

from backend_sdk import (
    ConnectionClosedError,
    ConnectionSettings,
    DatabaseError,
    DatabaseWrapper,
    ErrorClasses,
    ImproperlyConfigured,
    OperationalError,
    ThreadSharingError,
)
from tests.core.fakes import Driver, FakeBackend, FakeConnection, FakeCursor, fake_wrapper, in_thread, sqlite_wrapper

OPENING = ["params", "connect", "configure_connection", "set_autocommit", "init_connection_state"]
AFTER_CONNECT = OPENING[2:]


@pytest.fixture
def driver() -> Driver:
    return Driver()


class TestOpening:
    def test_a_new_wrapper_has_opened_nothing(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, "reports")
        assert (wrapper.is_open, driver.log) == (False, [])
        assert (wrapper.alias, wrapper.vendor, wrapper.settings.name) == ("reports", "fake", "fake")
        assert "closed" in repr(wrapper)

    @pytest.mark.parametrize("use", [lambda w: w.cursor(), lambda w: w.connect(), lambda w: w.connection])
    def test_the_first_use_opens_in_the_stated_order(
        self, driver: Driver, use: Callable[[DatabaseWrapper[FakeConnection, FakeCursor]], object]
    ) -> None:
        wrapper = fake_wrapper(driver)
        use(wrapper)
        assert driver.log[:5] == OPENING
        assert wrapper.is_open
        assert "open" in repr(wrapper)

    def test_later_uses_keep_the_connection(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.cursor()
        wrapper.connect()
        wrapper.cursor()
        assert wrapper.connection is driver.connections[0]
        assert len(driver.connections) == 1

    def test_the_session_gets_the_autocommit_of_the_settings(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, autocommit=False)
        assert wrapper.autocommit is False
        assert wrapper.connection.autocommit is False
        assert wrapper.autocommit is False

    @pytest.mark.parametrize("step", AFTER_CONNECT)
    def test_a_driver_error_on_the_way_keeps_nothing(self, driver: Driver, step: str) -> None:
        wrapper = fake_wrapper(driver, "reports")
        original = Driver.OperationalError("no such role")
        driver.plan(step, original)
        with pytest.raises(OperationalError) as caught:
            wrapper.cursor()
        assert caught.value.__cause__ is original
        assert (caught.value.step, caught.value.alias) == (step, "reports")
        assert (wrapper.is_open, driver.open_connections) == (False, [])

    @pytest.mark.parametrize("step", AFTER_CONNECT)
    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
    def test_any_other_error_on_the_way_keeps_nothing_and_stays_as_it_is(
        self, driver: Driver, step: str, kind: type[BaseException]
    ) -> None:
        wrapper = fake_wrapper(driver)
        original = kind("stop")
        driver.plan(step, original)
        with pytest.raises(kind) as caught:
            wrapper.connect()
        assert caught.value is original
        assert (wrapper.is_open, driver.open_connections) == (False, [])

    @pytest.mark.parametrize("step", ["params", *OPENING[1:]])
    def test_the_use_after_a_failure_opens_afresh(self, driver: Driver, step: str) -> None:
        wrapper = fake_wrapper(driver)
        driver.plan(step, Driver.OperationalError("once"))
        with pytest.raises(DatabaseError):
            wrapper.connect()
        driver.log.clear()
        wrapper.cursor()
        assert driver.log[:5] == OPENING
        assert driver.open_connections == [driver.connections[-1]]

    def test_an_error_of_connecting_names_the_step(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, "reports")
        driver.plan("connect", Driver.OperationalError("refused"))
        with pytest.raises(OperationalError, match="connect on 'reports': refused") as caught:
            wrapper.cursor()
        assert (caught.value.step, caught.value.alias) == ("connect", "reports")

    def test_a_backend_that_cannot_name_its_errors_leaves_nothing_open(self, driver: Driver) -> None:
        class Nameless(FakeBackend, vendor="nameless"):
            @property
            @override
            def driver_errors(self) -> ErrorClasses:
                raise AttributeError("no errors here")

        wrapper = DatabaseWrapper(Nameless(ConnectionSettings(), driver))
        with pytest.raises(AttributeError, match="no errors here"):
            wrapper.connect()
        assert (wrapper.is_open, driver.open_connections) == (False, [])

    def test_a_failing_close_does_not_hide_why_opening_failed(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        driver.plan("init_connection_state", Driver.OperationalError("no such role"))
        driver.plan("close", Driver.OperationalError("and the socket is gone"))
        with pytest.raises(OperationalError, match="no such role"):
            wrapper.connect()
        assert driver.log[-1] == "close"

    def test_wrong_settings_stay_improperly_configured(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        original = ImproperlyConfigured("HOST is missing")
        driver.plan("params", original)
        with pytest.raises(ImproperlyConfigured) as caught:
            wrapper.connect()
        assert caught.value is original

    @pytest.mark.parametrize("step", ["connect", "init_connection_state"])
    def test_no_secret_is_in_an_error_or_its_cause(self, driver: Driver, step: str) -> None:
        wrapper = fake_wrapper(driver, password="hunter2")
        driver.plan(step, Driver.OperationalError("password=hunter2 is malformed"))
        with pytest.raises(OperationalError) as caught:
            wrapper.connect()
        assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)
        assert "is malformed" in str(caught.value)

    def test_a_failing_cursor_leaves_the_connection(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        driver.plan("cursor", Driver.OperationalError("too many"), Driver.OperationalError("still"))
        for _ in range(2):  # the first opens, the second takes the short way
            with pytest.raises(OperationalError) as caught:
                wrapper.cursor()
            assert caught.value.step == "cursor"
        wrapper.cursor()
        assert len(driver.connections) == 1


class TestClosing:
    def test_close_is_idempotent(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.close()
        wrapper.connect()
        wrapper.close()
        wrapper.close()
        assert driver.log.count("close") == 1
        assert not wrapper.is_open

    def test_a_closed_wrapper_opens_again(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        wrapper.close()
        wrapper.connect()
        assert wrapper.connection is driver.connections[1]

    @pytest.mark.parametrize("kind", [Driver.OperationalError, OSError, KeyboardInterrupt])
    def test_a_close_that_raises_leaves_no_dead_connection(self, driver: Driver, kind: type[BaseException]) -> None:
        wrapper = fake_wrapper(driver, "reports")
        wrapper.connect()
        original = kind("broken pipe")
        driver.plan("close", original)
        with pytest.raises((OperationalError, OSError, KeyboardInterrupt)) as caught:
            wrapper.close()
        if kind is Driver.OperationalError:
            assert isinstance(caught.value, OperationalError)
            assert (caught.value.step, caught.value.alias) == ("close", "reports")
            assert caught.value.__cause__ is original
        else:
            assert caught.value is original
        assert not wrapper.is_open
        wrapper.close()
        wrapper.cursor()
        assert wrapper.connection is driver.connections[1]
        assert driver.log.count("close") == 1

    def test_the_context_manager_of_a_cursor_survives_the_close_of_its_wrapper(self) -> None:
        wrapper = sqlite_wrapper()
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
            wrapper.close()
        assert not wrapper.is_open


class TestTemporaryConnection:
    def test_it_closes_what_it_has_opened(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.temporary_connection() as cursor:
            cursor.execute("SELECT 1")
            assert wrapper.is_open
        assert driver.log[-2:] == ["close cursor", "close"]
        assert not wrapper.is_open

    def test_it_leaves_a_connection_that_was_open(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        with wrapper.temporary_connection():
            pass
        assert wrapper.is_open
        assert driver.log[-1] == "close cursor"

    def test_it_closes_when_the_block_fails(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with pytest.raises(ValueError, match="no"), wrapper.temporary_connection():
            raise ValueError("no")
        assert driver.open_connections == []

    def test_it_closes_when_its_cursor_cannot_be_made_or_closed(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        driver.plan("cursor", Driver.OperationalError("too many"))
        with pytest.raises(OperationalError, match="too many"), wrapper.temporary_connection():
            pass
        assert driver.open_connections == []
        driver.plan("close cursor", Driver.OperationalError("gone"))
        with pytest.raises(OperationalError, match="gone"), wrapper.temporary_connection():
            pass
        assert driver.open_connections == []

    def test_the_block_may_close_the_wrapper(self) -> None:
        wrapper = sqlite_wrapper()
        with wrapper.temporary_connection() as cursor:
            cursor.execute("SELECT 1")
            wrapper.close()
        assert not wrapper.is_open

    def test_a_refused_one_raises_the_refusal_alone(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)

        def use() -> None:
            with wrapper.temporary_connection():
                pass

        with pytest.raises(ThreadSharingError, match="connect on 'default' refused") as caught:
            in_thread(use)
        assert caught.value.__context__ is None


class TestIdentity:
    def test_equality_and_hash_are_by_identity(self, driver: Driver) -> None:
        backend = fake_wrapper(driver).backend
        one, other = DatabaseWrapper(backend), DatabaseWrapper(backend)
        assert one != other
        known = {one: "one", other: "other"}
        one.connect()
        assert (known[one], known[other]) == ("one", "other")

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickling_is_refused(self, driver: Driver, protocol: int) -> None:
        with pytest.raises(TypeError, match=r"'reports' cannot be pickled.*wrapper\.copy\(\)"):
            pickle.dumps(fake_wrapper(driver, "reports"), protocol)

    @pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
    def test_the_copy_module_is_refused(self, driver: Driver, copier: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match=r"wrapper\.copy\(\)"):
            copier(fake_wrapper(driver))

    def test_a_copy_is_independent(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, "default")
        wrapper.connect()
        other = wrapper.copy("other")
        assert (other.alias, other.is_open, other.backend) == ("other", False, wrapper.backend)
        other.connect()
        assert other.connection is not wrapper.connection
        wrapper.close()
        assert other.is_open
        assert wrapper.copy().alias == "default"

    def test_a_copy_has_neither_sharing_nor_hooks_nor_block(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with wrapper.shared(), wrapper.query_log() as log, wrapper.atomic():
            other = wrapper.copy()
            assert not other.in_atomic_block
            other.cursor().execute("SELECT 1")
            with pytest.raises(DatabaseError, match="refused"):
                in_thread(other.cursor)
        assert len(log.records) == 0

    def test_a_copy_belongs_to_who_made_it(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)

        def copy_and_use() -> DatabaseWrapper[FakeConnection, FakeCursor]:
            made = wrapper.copy()
            made.cursor()
            return made

        made = in_thread(copy_and_use)
        with pytest.raises(DatabaseError, match="refused"):
            made.cursor()

    def test_fingerprint_is_the_sessions_not_the_aliass(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        assert wrapper.copy("other").fingerprint == wrapper.fingerprint
        assert fake_wrapper(driver, user="somebody").fingerprint != wrapper.fingerprint

    def test_a_private_database_has_a_fingerprint_of_its_own(self) -> None:
        wrapper = sqlite_wrapper(":memory:")
        assert wrapper.fingerprint == wrapper.fingerprint
        assert wrapper.copy().fingerprint != wrapper.fingerprint

    def test_an_unknown_attribute_cannot_be_set(self, driver: Driver) -> None:
        with pytest.raises(AttributeError):
            fake_wrapper(driver).autocomit = False  # type: ignore[attr-defined]  # the typing error is the point


class TestFootprint:
    def test_an_unopened_wrapper_takes_at_most_400_bytes(self) -> None:
        backend = sqlite_wrapper().backend
        count = 1000
        wrappers: list[object] = [None] * count
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for index in range(count):
                wrappers[index] = DatabaseWrapper(backend)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (after - before) / count <= 400

    def test_an_unopened_wrapper_is_at_most_three_tracked_objects(self) -> None:
        backend = sqlite_wrapper().backend
        count = 1000
        wrappers: list[object] = [None] * count
        gc.collect()
        gc.disable()
        try:
            before = len(gc.get_objects())
            for index in range(count):
                wrappers[index] = DatabaseWrapper(backend)
            after = len(gc.get_objects())
        finally:
            gc.enable()
        assert round((after - before) / count, 1) <= 3


class TestRareAbilities:
    def test_server_version_opens_and_asks(self, driver: Driver) -> None:
        assert fake_wrapper(driver).server_version == (1, 2)

    def test_set_read_only_reaches_the_driver(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.set_read_only(True)
        assert driver.log[-1] == "set_read_only"

    def test_cancel_is_for_other_threads_and_opens_nothing(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        in_thread(wrapper.cancel)
        assert driver.log == []
        wrapper.connect()
        in_thread(wrapper.cancel)
        assert driver.log[-1] == "cancel"
        wrapper.close()
        in_thread(wrapper.cancel)
        assert driver.log.count("cancel") == 1

    def test_a_named_cursor_is_guarded_too(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        cursor = wrapper.named_cursor("big")
        assert driver.log[-1] == "named_cursor"
        cursor.execute("SELECT 1")
        wrapper.close()
        with pytest.raises(ConnectionClosedError):
            cursor.fetchone()
