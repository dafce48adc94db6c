"""How long a connection is kept, and when it is looked at before use. The clock is the tests'."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend_sdk import OperationalError
from backend_sdk.lifetime import Lifetime
from tests.core.fakes import Clock, Driver, FakeWrapper, fake_wrapper


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def end_of_use(wrapper: FakeWrapper) -> None:
    wrapper.close_if_unusable_or_obsolete()


class TestMaxAge:
    def test_none_is_for_ever(self, driver: Driver, clock: Clock) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=None)
        wrapper.connect()
        clock.now += 1e9
        end_of_use(wrapper)
        assert wrapper.is_open

    def test_zero_is_until_the_end_of_this_use(self, driver: Driver, clock: Clock) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=0)
        wrapper.cursor()
        wrapper.cursor()
        assert wrapper.is_open
        end_of_use(wrapper)
        assert driver.open_connections == []
        wrapper.cursor()
        assert len(driver.open_connections) == 1

    @pytest.mark.parametrize(("passed", "kept"), [(59.9, True), (60.0, False), (61.0, False)])
    def test_an_age_is_counted_from_opening_to_the_end_of_a_use(
        self, driver: Driver, clock: Clock, passed: float, kept: bool
    ) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=60)
        clock.now += 1000  # before it is open, time does not count
        wrapper.connect()
        clock.now += passed
        wrapper.cursor()
        assert wrapper.is_open
        end_of_use(wrapper)
        assert wrapper.is_open == kept

    def test_each_connection_has_an_age_of_its_own(self, driver: Driver, clock: Clock) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=60)
        wrapper.connect()
        clock.now += 100
        end_of_use(wrapper)
        wrapper.connect()
        clock.now += 59
        end_of_use(wrapper)
        assert wrapper.is_open

    def test_nothing_is_closed_inside_a_block(self, driver: Driver, clock: Clock) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=0)
        with wrapper.atomic():
            end_of_use(wrapper)
            assert wrapper.is_open
        assert driver.log[-1] == "commit"

    def test_a_close_that_fails_is_not_the_users_concern(self, driver: Driver, clock: Clock) -> None:
        wrapper = fake_wrapper(driver, clock=clock, conn_max_age=0)
        wrapper.connect()
        driver.plan("close", Driver.OperationalError("broken pipe"))
        end_of_use(wrapper)
        assert not wrapper.is_open

    def test_a_wrapper_that_is_not_open_stays_so(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        end_of_use(wrapper)
        assert driver.log == []


class TestHealthChecks:
    def checked(self, driver: Driver) -> FakeWrapper:
        wrapper = fake_wrapper(driver, conn_max_age=None, conn_health_checks=True)
        wrapper.connect()
        return wrapper

    USES: tuple[Callable[[FakeWrapper], object], ...] = (
        lambda w: w.cursor(),
        lambda w: w.connect(),
        lambda w: w.connection,
        lambda w: w.atomic().__enter__(),
    )

    @pytest.mark.parametrize("use", USES, ids=["cursor", "connect", "connection", "atomic"])
    def test_the_next_use_starts_with_a_look_and_one_is_enough(
        self, driver: Driver, use: Callable[[FakeWrapper], object]
    ) -> None:
        wrapper = self.checked(driver)
        assert "ping" not in driver.log
        end_of_use(wrapper)
        assert "ping" not in driver.log
        use(wrapper)
        wrapper.cursor().execute("SELECT 1")
        wrapper.cursor()
        assert driver.log.count("ping") == 1
        assert len(driver.connections) == 1

    @pytest.mark.parametrize("use", USES, ids=["cursor", "connect", "connection", "atomic"])
    def test_a_dead_connection_is_replaced(self, driver: Driver, use: Callable[[FakeWrapper], object]) -> None:
        wrapper = self.checked(driver)
        end_of_use(wrapper)
        driver.plan("ping", Driver.OperationalError("server closed the connection"))
        use(wrapper)
        assert len(driver.connections) == 2
        assert driver.open_connections == driver.connections[1:]

    def test_a_broken_one_is_not_even_asked(self, driver: Driver) -> None:
        wrapper = self.checked(driver)
        end_of_use(wrapper)
        driver.connections[0].broken = True
        wrapper.cursor()
        assert "ping" not in driver.log
        assert driver.open_connections == driver.connections[1:]

    def test_without_them_nothing_is_asked(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, conn_max_age=None)
        wrapper.connect()
        end_of_use(wrapper)
        wrapper.cursor()
        assert "ping" not in driver.log

    def test_a_mistake_in_the_probe_is_no_verdict(self, driver: Driver) -> None:
        wrapper = self.checked(driver)
        end_of_use(wrapper)
        driver.plan("ping", TypeError("a bug"))
        with pytest.raises(TypeError, match="a bug"):
            wrapper.cursor()
        wrapper.cursor()
        assert len(driver.connections) == 1


class TestErrors:
    def test_a_connection_that_had_errors_is_looked_at_when_its_use_ends(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, conn_max_age=None)
        driver.plan("execute", Driver.IntegrityError("twice"))
        with pytest.raises(Exception, match="twice"):
            wrapper.cursor().execute("INSERT")
        end_of_use(wrapper)
        assert driver.log.count("ping") == 1
        assert wrapper.is_open
        end_of_use(wrapper)
        assert driver.log.count("ping") == 1

    def test_it_is_closed_if_it_does_not_work(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, conn_max_age=None)
        driver.plan("execute", Driver.OperationalError("timeout"))
        driver.plan("ping", Driver.OperationalError("timeout"))
        with pytest.raises(OperationalError):
            wrapper.cursor().execute("SELECT 1")
        end_of_use(wrapper)
        assert driver.open_connections == []

    def test_a_session_left_in_another_autocommit_mode_is_not_kept(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, conn_max_age=None)
        wrapper.set_autocommit(False)
        end_of_use(wrapper)
        assert not wrapper.is_open
        assert wrapper.connection.autocommit


class TestLostConnections:
    def lose(self, wrapper: FakeWrapper, driver: Driver) -> None:
        cursor = wrapper.cursor()
        driver.plan("execute", Driver.OperationalError("server is gone"))
        with pytest.raises(OperationalError, match="gone"):
            cursor.execute("SELECT 1")

    def test_the_next_use_opens_another_and_runs_nothing_twice(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        self.lose(wrapper, driver)
        assert wrapper.is_usable() is False
        driver.log.clear()
        wrapper.cursor()
        assert "execute" not in driver.log
        assert driver.open_connections == driver.connections[1:]

    def test_without_autocommit_it_stays_so_that_no_transaction_is_cut_in_two(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, autocommit=False, conn_max_age=None)
        self.lose(wrapper, driver)
        wrapper.cursor()
        assert len(driver.connections) == 1
        end_of_use(wrapper)
        assert not wrapper.is_open

    def test_an_ordinary_error_loses_nothing(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        driver.plan("execute", Driver.OperationalError("syntax"))
        with pytest.raises(OperationalError):
            wrapper.cursor().execute("SELEKT")
        wrapper.cursor()
        assert len(driver.connections) == 1

    def test_the_end_of_a_use_closes_it_without_asking(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, conn_max_age=None)
        self.lose(wrapper, driver)
        end_of_use(wrapper)
        assert "ping" not in driver.log
        assert driver.open_connections == []


class TestIsUsable:
    def test_a_wrapper_that_is_not_open_is_not_and_stays_closed(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        assert wrapper.is_usable() is False
        wrapper.connect()
        assert wrapper.is_usable() is True
        wrapper.close()
        driver.log.clear()
        assert wrapper.is_usable() is False
        assert driver.log == []

    def test_it_asks_and_closes_nothing(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        driver.plan("ping", Driver.OperationalError("timeout"))
        assert wrapper.is_usable() is False
        assert wrapper.is_usable() is True
        driver.plan("is_broken", Driver.InterfaceError("closed"))
        assert wrapper.is_usable() is False
        assert wrapper.is_open


class TestTheBookkeeping:
    def test_expiry_is_by_the_given_clock(self) -> None:
        clock = Clock()
        lifetime = Lifetime(10, health_checks=False, clock=clock)
        clock.now += 9.99
        assert not lifetime.expired
        clock.now += 0.01
        assert lifetime.expired

    def test_a_look_is_due_after_a_use_where_it_was_asked_for(self) -> None:
        asked, not_asked = Lifetime(None, health_checks=True), Lifetime(None, health_checks=False)
        assert not asked.check_due
        asked.use_ended()
        not_asked.use_ended()
        assert (asked.check_due, not_asked.check_due) == (True, False)
        asked.failed = True
        asked.found_usable()
        assert (asked.check_due, asked.failed) == (False, False)
