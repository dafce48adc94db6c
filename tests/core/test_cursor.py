"""Cursors: the driver's errors become ours, what was handed out is guarded, the rest is the driver's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typing_extensions import override

from backend_sdk import (
    CheckedCursor,
    ConnectionClosedError,
    CursorWrapper,
    DatabaseWrapper,
    Error,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    TransactionManagementError,
    TransactionStatus,
    errors,
)
from tests.core.fakes import CheckedFakeCursor, Driver, FakeCursor, FakeWrapper, fake_wrapper, sqlite_wrapper

STEPS: dict[str, tuple[str, str, Callable[[Any], object]]] = {
    "execute": ("execute", "execute", lambda c: c.execute("SELECT 1")),
    "execute with params": ("execute", "execute", lambda c: c.execute("SELECT %s", (1,))),
    "execute with options": ("execute", "execute", lambda c: c.execute("SELECT 1", prepare=True)),
    "executemany": ("executemany", "executemany", lambda c: c.executemany("INSERT", [()])),
    "callproc": ("callproc", "callproc", lambda c: c.callproc("p")),
    "nextset": ("nextset", "nextset", lambda c: c.nextset()),
    "fetchone": ("fetchone", "fetchone", lambda c: c.fetchone()),
    "fetchmany": ("fetchmany", "fetchmany", lambda c: c.fetchmany(1)),
    "fetchall": ("fetchall", "fetchall", lambda c: c.fetchall()),
    "iteration": ("fetchone", "iteration", lambda c: list(c)),
    "close": ("close cursor", "close", lambda c: c.close()),
    "the end of a with block": ("close cursor", "close", lambda c: c.__exit__(None, None, None)),
}
UNGUARDED_WHEN_OVER = {"close", "the end of a with block"}


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def sqlite() -> Iterator[DatabaseWrapper[Any, Any]]:
    wrapper = sqlite_wrapper()
    yield wrapper
    wrapper.close()


@pytest.fixture(params=[FakeCursor, CheckedFakeCursor], ids=["wrapped", "mixin"])
def wrapper(request: pytest.FixtureRequest, driver: Driver) -> FakeWrapper:
    return fake_wrapper(driver, "reports", cursor_class=request.param)


def unhooked(wrapper: FakeWrapper) -> object:
    """Nothing in the way: calls take the short way."""
    return wrapper.cursor()


def hooked(wrapper: FakeWrapper) -> object:
    wrapper.execute_hook(lambda execute, *rest: execute(*rest)).__enter__()
    return wrapper.cursor()


class TestErrors:
    @pytest.mark.parametrize("way", [unhooked, hooked])
    @pytest.mark.parametrize(("planned", "step", "use"), STEPS.values(), ids=STEPS)
    def test_the_drivers_error_becomes_ours(
        self,
        driver: Driver,
        wrapper: FakeWrapper,
        planned: str,
        step: str,
        use: Callable[[Any], object],
        way: Callable[[FakeWrapper], Any],
    ) -> None:
        cursor = way(wrapper)
        original = Driver.IntegrityError("twice", 23505)
        driver.plan(planned, original)
        with pytest.raises(IntegrityError, match=f"{step} on 'reports': ") as caught:
            use(cursor)
        assert caught.value.__cause__ is original
        assert (caught.value.step, caught.value.alias, caught.value.args) == (step, "reports", original.args)

    @pytest.mark.parametrize(("planned", "step", "use"), STEPS.values(), ids=STEPS)
    def test_a_mistake_in_the_program_passes_as_it_is(
        self, driver: Driver, wrapper: FakeWrapper, planned: str, step: str, use: Callable[[Any], object]
    ) -> None:
        cursor = wrapper.cursor()
        original = TypeError("not a statement")
        driver.plan(planned, original)
        with pytest.raises(TypeError) as caught:
            use(cursor)
        assert caught.value is original

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            (Driver.Error, errors.Error),
            (Driver.Warning, errors.Warning),
            (Driver.InterfaceError, errors.InterfaceError),
            (Driver.DatabaseError, errors.DatabaseError),
            (Driver.OperationalError, errors.OperationalError),
            (Driver.ProgrammingError, errors.ProgrammingError),
            (Driver.SpecialIntegrityError, errors.IntegrityError),
        ],
    )
    def test_each_class_becomes_the_nearest_of_pep_249(
        self, driver: Driver, wrapper: FakeWrapper, theirs: type[Exception], ours: type[Exception]
    ) -> None:
        cursor = wrapper.cursor()
        driver.plan("execute", theirs("x"))
        with pytest.raises((Error, errors.Warning)) as caught:
            cursor.execute("SELECT 1")
        assert type(caught.value) is ours

    def test_sqlites_own_errors_arrive_as_ours(self, sqlite: DatabaseWrapper[Any, Any]) -> None:
        cursor = sqlite.cursor()
        cursor.executescript("CREATE TABLE t (i PRIMARY KEY); INSERT INTO t VALUES (1)")
        with pytest.raises(IntegrityError) as caught:
            cursor.execute("INSERT INTO t VALUES (1)")
        assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
        with pytest.raises(OperationalError, match="no such table"):
            cursor.execute("SELECT * FROM nowhere")
        with pytest.raises(OperationalError, match="executescript"):
            cursor.executescript("CREATE TABLE t (i)")

    def test_an_error_does_not_end_the_session(self, driver: Driver, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        driver.plan("execute", Driver.OperationalError("syntax"))
        with pytest.raises(OperationalError):
            cursor.execute("SELEKT")
        assert cursor.execute("SELECT 1").fetchone() == (1,)
        assert len(driver.connections) == 1


class TestSessionsThatAreOver:
    @pytest.mark.parametrize("reopen", [False, True])
    @pytest.mark.parametrize("case", [case for case in STEPS if case not in UNGUARDED_WHEN_OVER])
    def test_a_cursor_of_a_closed_connection_is_refused(
        self, driver: Driver, wrapper: FakeWrapper, case: str, reopen: bool
    ) -> None:
        cursor = wrapper.cursor().execute("SELECT 1")
        wrapper.close()
        if reopen:
            wrapper.connect()
        driver.log.clear()
        with pytest.raises(ConnectionClosedError, match="on 'reports': the connection of this cursor was closed"):
            STEPS[case][2](cursor)
        assert driver.log == []

    @pytest.mark.parametrize("case", sorted(UNGUARDED_WHEN_OVER))
    def test_closing_a_cursor_after_its_connection_does_nothing(
        self, driver: Driver, wrapper: FakeWrapper, case: str
    ) -> None:
        cursor = wrapper.cursor()
        wrapper.close()
        driver.log.clear()
        STEPS[case][2](cursor)
        assert driver.log == []

    def test_an_iteration_stops_where_the_connection_is_closed(self, wrapper: FakeWrapper) -> None:
        rows = iter(wrapper.cursor().execute("SELECT 1"))  # type: ignore[call-overload]  # iteration is optional in PEP 249
        assert next(rows) == (1,)
        wrapper.close()
        with pytest.raises(ConnectionClosedError, match="iteration"):
            next(rows)

    def test_a_new_cursor_works_after_reopening(self, wrapper: FakeWrapper) -> None:
        wrapper.cursor()
        wrapper.close()
        assert wrapper.cursor().execute("SELECT 1").fetchall() == [(1,), (2,), (3,)]

    def test_a_held_cursor_keeps_no_session_alive(self, driver: Driver, wrapper: FakeWrapper) -> None:
        cursor = wrapper.copy().cursor()
        assert driver.open_connections == []
        with pytest.raises(ConnectionClosedError):
            cursor.execute("SELECT 1")


class TestArguments:
    @pytest.mark.parametrize("way", [unhooked, hooked])
    @pytest.mark.parametrize(
        ("args", "options"),
        [
            (("SELECT 1",), {}),
            (("SELECT %s", (1,)), {}),
            (("SELECT %(a)s", {"a": 1}), {}),
            (("SELECT 1", ()), {}),
            (("SELECT 1",), {"prepare": True}),
            (("SELECT %s", (1,)), {"prepare": True}),
            ((), {"query": "SELECT 1"}),
        ],
    )
    def test_execute_hands_on_what_was_given_and_no_more(
        self, wrapper: FakeWrapper, args: tuple[Any, ...], options: dict[str, Any], way: Callable[[FakeWrapper], Any]
    ) -> None:
        cursor = way(wrapper)
        cursor.execute(*args, **options)
        assert (cursor.arguments, cursor.options) == (args, options)

    def test_none_for_params_is_as_none_given(self, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        cursor.execute("SELECT '%'", None)
        assert cursor.arguments == ("SELECT '%'",)

    def test_executemany_hands_on_its_rows(self, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        cursor.executemany("INSERT", [(1,), (2,)])
        assert cursor.arguments == ("INSERT", [(1,), (2,)])

    def test_what_execute_returns_is_guarded_still(self, driver: Driver, wrapper: FakeWrapper) -> None:
        returned = [wrapper.cursor().execute("SELECT 1"), wrapper.cursor().executemany("INSERT", [()])]
        wrapper.close()
        for cursor in returned:
            with pytest.raises(ConnectionClosedError):
                cursor.fetchone()

    def test_other_results_are_handed_back(self, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        assert (cursor.callproc("p"), cursor.nextset()) == ("p", True)
        assert cursor.execute("SELECT 1").fetchmany(2) == [(1,), (2,)]


class TestIteration:
    def test_it_gives_every_row_and_ends(self, wrapper: FakeWrapper) -> None:
        cursor: Any = wrapper.cursor().execute("SELECT 1")
        assert list(cursor) == [(1,), (2,), (3,)]
        assert list(cursor) == []

    def test_so_does_it_with_a_hook_and_while_shared(self, wrapper: FakeWrapper) -> None:
        cursor: Any = hooked(wrapper)
        assert list(cursor.execute("SELECT 1")) == [(1,), (2,), (3,)]
        rows = iter(cursor.execute("SELECT 1"))
        assert next(rows) == (1,)
        with wrapper.shared():
            assert next(rows) == (2,)
            assert list(cursor) == [(3,)]
        assert list(rows) == []

    def test_next_gives_the_next_row_and_ends(self, wrapper: FakeWrapper) -> None:
        cursor: Any = wrapper.cursor().execute("SELECT 1")
        assert [next(cursor), next(cursor), next(cursor)] == [(1,), (2,), (3,)]
        with pytest.raises(StopIteration):
            next(cursor)

    def test_a_driver_cursor_that_is_only_iterable_will_do(self, driver: Driver) -> None:
        class Iterable(FakeCursor):
            def __iter__(self) -> Iterator[Any]:
                return iter(self.fetchone, None)

        class Checked(CheckedCursor, Iterable):
            pass

        wrapper = fake_wrapper(driver, cursor_class=Checked)
        cursor: Any = wrapper.cursor().execute("SELECT 1")
        assert list(cursor) == [(1,), (2,), (3,)]

    def test_sqlite_rows_come_by_every_way(self, sqlite: DatabaseWrapper[Any, Any]) -> None:
        cursor = sqlite.cursor()
        select = "SELECT 1 UNION SELECT 2"
        assert list(cursor.execute(select)) == [(1,), (2,)]
        assert next(cursor.execute(select)) == (1,)
        assert cursor.execute(select).fetchmany(1) == [(1,)]

    def test_an_error_half_way_becomes_ours(self, driver: Driver, wrapper: FakeWrapper) -> None:
        rows: Any = iter(wrapper.cursor().execute("SELECT 1"))  # type: ignore[call-overload]  # as above
        next(rows)
        driver.plan("fetchone", Driver.OperationalError("reset"))
        with pytest.raises(OperationalError, match="iteration on 'reports': reset"):
            next(rows)


class TestTheDriversOwn:
    def test_attributes_are_read_and_set_through(self, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        assert (cursor.description, cursor.lastrowid) == ((("n",),), 7)
        cursor.arraysize = 50
        assert cursor.arraysize == 50
        with pytest.raises(AttributeError):
            cursor.no_such_thing  # type: ignore[attr-defined]  # noqa: B018 - the error is the point

    def test_a_plain_cursor_is_wrapped_and_says_so(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        cursor = wrapper.cursor()
        assert isinstance(cursor, CursorWrapper)
        assert "CursorWrapper of <tests.core.fakes.FakeCursor" in repr(cursor)

    def test_a_cursor_with_the_mixin_is_the_drivers_own(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, cursor_class=CheckedFakeCursor)
        assert type(wrapper.cursor()) is CheckedFakeCursor

    def test_the_context_manager_closes(self, driver: Driver, wrapper: FakeWrapper) -> None:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert driver.log[-1] == "close cursor"

    def test_a_class_laid_between_the_mixin_and_its_driver_is_not_passed_over(self, driver: Driver) -> None:
        """As psycopg's ServerCursor below a checked Cursor."""

        class Server(FakeCursor):
            @override
            def execute(self, *args: Any, **options: Any) -> FakeCursor:
                self.connection.do("declare")
                return super().execute(*args, **options)

            @override
            def fetchone(self) -> tuple[Any, ...] | None:
                self.connection.do("fetch from portal")
                return super().fetchone()

            @override
            def fetchall(self) -> list[tuple[Any, ...]]:
                self.connection.do("fetch from portal")
                return super().fetchall()

        class Checked(CheckedFakeCursor, Server):
            pass

        wrapper = fake_wrapper(driver, cursor_class=Checked)
        cursor = wrapper.cursor()
        driver.log.clear()
        cursor.execute("SELECT 1").fetchone()
        cursor.fetchall()
        assert driver.log == ["declare", "execute", "fetch from portal", "fetchone", "fetch from portal", "fetchall"]

    def test_what_a_subclass_defines_itself_is_kept_also_below_it(self, driver: Driver) -> None:
        class Counting(CheckedFakeCursor):
            count = 0

            @override
            def execute(self, *args: Any, **options: Any) -> FakeCursor:
                self.count += 1
                return super().execute(*args, **options)

        class Below(Counting):
            pass

        wrapper = fake_wrapper(driver, cursor_class=Below)
        cursor: Any = wrapper.cursor()
        cursor.execute("SELECT 1")
        assert cursor.count == 1
        wrapper.close()
        with pytest.raises(ConnectionClosedError):
            cursor.execute("SELECT 1")

    def test_cursors_of_several_classes_may_alternate(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        backend: Any = wrapper.backend
        held = []
        for cursor_class in (CheckedFakeCursor, FakeCursor, CheckedFakeCursor, FakeCursor):
            backend.cursor_class = cursor_class
            held.append(wrapper.cursor())
        wrapper.close()
        for cursor in held:
            with pytest.raises(ConnectionClosedError):
                cursor.execute("SELECT 1")


class TestNamedMethods:
    def test_an_unlisted_close_is_the_drivers_own(self, sqlite: DatabaseWrapper[Any, Any]) -> None:
        assert type(sqlite.cursor()).close is sqlite3.Cursor.close

    def test_a_listed_method_keeps_its_name(self) -> None:
        method = CheckedFakeCursor.callproc
        assert (method.__name__, method.__qualname__) == ("callproc", "CheckedFakeCursor.callproc")

    def test_a_listed_method_is_refused_in_a_broken_block(self, driver: Driver, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        driver.plan("execute", lambda: setattr(driver.connections[0], "status", TransactionStatus.IDLE))
        with pytest.raises(TransactionManagementError, match="kept nothing"), wrapper.atomic():  # noqa: PT012
            cursor.execute("COMMIT")
            with pytest.raises(TransactionManagementError, match="ended the block's transaction"):
                wrapper.atomic().__enter__()
            driver.log.clear()
            with pytest.raises(TransactionManagementError, match="callproc refused"):
                cursor.callproc("p")
            assert driver.log == []

    def test_a_procedure_that_ends_the_transaction_breaks_the_block(self, driver: Driver, wrapper: FakeWrapper) -> None:
        cursor = wrapper.cursor()
        driver.plan("callproc", lambda: setattr(driver.connections[0], "status", TransactionStatus.IDLE))
        with pytest.raises(TransactionManagementError, match="kept nothing"), wrapper.atomic():  # noqa: PT012
            cursor.callproc("p")
            with pytest.raises(TransactionManagementError, match="during callproc"):
                cursor.execute("INSERT")

    def test_a_class_may_name_a_method_of_its_own_driver(self, driver: Driver) -> None:
        class Copying(FakeCursor):
            def copy(self, what: str, *, fast: bool = False) -> tuple[str, bool]:
                self.connection.do("copy")
                return what, fast

        class Checked(CheckedCursor, Copying, also=("copy",)):
            @override
            def __repr__(self) -> str:
                return "a checked one"

        wrapper = fake_wrapper(driver, cursor_class=Checked)
        cursor: Any = wrapper.cursor()
        assert cursor.copy("t", fast=True) == ("t", True)
        driver.plan("copy", Driver.ProgrammingError("no such table"))
        with pytest.raises(ProgrammingError, match="copy on 'default'"):
            cursor.copy("t")
        wrapper.close()
        with pytest.raises(ConnectionClosedError):
            cursor.copy("t")
