"""The error tree, the way from a driver's errors to ours, groups, and secrets taken out of what is told."""

from __future__ import annotations

import gc
import pickle
import sqlite3
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr

from backend_sdk import ConnectionSettings, DatabaseError, DatabaseErrorGroup, DatabaseWrapper, errors
from backend_sdk.errors import DriverErrors, driver_errors, errors_of_driver, raise_together, scrub
from tests.core.settings_support import SECRET, told_by

PEP_249 = {
    "InterfaceError": "Error",
    "DatabaseError": "Error",
    "DataError": "DatabaseError",
    "OperationalError": "DatabaseError",
    "IntegrityError": "DatabaseError",
    "InternalError": "DatabaseError",
    "ProgrammingError": "DatabaseError",
    "NotSupportedError": "DatabaseError",
}


class TestTree:
    @pytest.mark.parametrize(("name", "base"), PEP_249.items())
    def test_it_is_that_of_pep_249(self, name: str, base: str) -> None:
        assert getattr(errors, name).__bases__ == (getattr(errors, base),)

    def test_error_and_warning_are_apart(self) -> None:
        assert issubclass(errors.Error, Exception)
        assert not issubclass(errors.Warning, errors.Error)
        assert not issubclass(errors.Error, errors.Warning)

    @pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error") or name == "Warning"])
    def test_each_shows_its_step_and_alias(self, name: str) -> None:
        error = getattr(errors, name)("no route")
        assert str(error) == "no route"
        error.step = "connect"
        assert str(error) == "connect: no route"
        error.alias = "reports"
        assert str(error) == "connect on 'reports': no route"

    def test_one_error_keeps_its_step_to_itself(self) -> None:
        errors.DataError("x").step = "connect"
        assert errors.DataError("x").step is None

    @pytest.mark.parametrize("cls", [errors.OperationalError, errors.UnknownAliasError, errors.Warning])
    def test_one_that_was_pickled_says_the_same(self, cls: type[errors.Error | errors.Warning]) -> None:
        error = cls(1045, "denied")
        error.step, error.alias = "connect", "reports"
        made = pickle.loads(pickle.dumps(error))
        assert (type(made), made.args, str(made)) == (cls, (1045, "denied"), str(error))


class TestGroups:
    def test_no_error_raises_nothing(self) -> None:
        raise_together("closing failed", [])

    def test_one_error_is_raised_bare(self) -> None:
        error = errors.OperationalError("a")
        with pytest.raises(errors.OperationalError) as caught:
            raise_together("closing failed", [error])
        assert caught.value is error

    def test_several_are_one_group_that_is_a_database_error(self) -> None:
        members = [errors.OperationalError("a"), ValueError("b")]
        with pytest.raises(DatabaseError) as caught:
            raise_together("closing failed", members)
        assert isinstance(caught.value, DatabaseErrorGroup)
        assert list(caught.value.exceptions) == members
        assert str(caught.value) == "closing failed (2 errors)"

    def test_a_part_of_a_group_is_such_a_group_too(self) -> None:
        group = DatabaseErrorGroup("m", [errors.OperationalError("a"), ValueError("b"), errors.DataError("c")])
        matching, rest = group.split((errors.OperationalError, errors.DataError))
        assert isinstance(matching, DatabaseErrorGroup)
        assert isinstance(rest, DatabaseErrorGroup)
        assert [str(error) for error in matching.exceptions] == ["a", "c"]

    def test_except_star_takes_a_group_apart(self) -> None:
        seen = []
        try:
            raise_together("m", [errors.OperationalError("a"), ValueError("b")])
        except* errors.OperationalError as group:
            seen += [str(error) for error in group.exceptions]
        except* ValueError as group:
            seen += [str(error) for error in group.exceptions]
        assert seen == ["a", "b"]


class FakeDriver:
    class Warning(Exception): ...

    class Error(Exception): ...

    class DatabaseError(Error): ...

    class IntegrityError(DatabaseError): ...

    class UniqueViolation(IntegrityError): ...

    class Strange(Error): ...


class TestTranslation:
    @pytest.mark.parametrize("name", [*PEP_249, "Error", "Warning"])
    def test_each_class_of_a_driver_becomes_ours_of_that_name(self, name: str) -> None:
        made = DriverErrors(sqlite3).translate(getattr(sqlite3, name)("text", 7))
        assert type(made) is getattr(errors, name)
        assert made.args == ("text", 7)

    @pytest.mark.parametrize(
        ("kind", "ours"),
        [
            (FakeDriver.UniqueViolation, errors.IntegrityError),
            (FakeDriver.Strange, errors.Error),
            (FakeDriver.Warning, errors.Warning),
            (sqlite3.OperationalError, errors.OperationalError),
        ],
    )
    def test_a_class_that_pep_249_does_not_know_becomes_its_nearest_ancestor(
        self, kind: type[Exception], ours: type[Exception]
    ) -> None:
        translate = DriverErrors(FakeDriver).translate
        assert type(translate(kind("x"))) is ours
        assert type(translate(kind("y"))) is ours

    def test_an_error_of_no_such_class_is_at_least_a_database_error(self) -> None:
        assert type(DriverErrors(FakeDriver).translate(TimeoutError("x"))) is DatabaseError

    def test_only_the_drivers_own_errors_are_caught(self) -> None:
        caught = DriverErrors(FakeDriver).caught
        assert caught == (FakeDriver.Error, FakeDriver.Warning)
        assert not issubclass(ValueError, caught)
        assert DriverErrors(sqlite3).caught == (sqlite3.Error, sqlite3.Warning)

    @pytest.mark.parametrize("classes", [None, object(), ModuleType("empty")])
    def test_a_driver_without_errors_has_none_caught(self, classes: object) -> None:
        assert DriverErrors(classes).caught == ()

    def test_what_is_no_exception_is_not_caught(self) -> None:
        module = ModuleType("odd")
        vars(module).update(Error=int, Warning="x")
        assert DriverErrors(module).caught == ()

    def test_one_driver_has_one_way(self) -> None:
        assert driver_errors(sqlite3) is driver_errors(sqlite3)
        assert driver_errors(FakeDriver) is not driver_errors(sqlite3)

    def test_classes_that_cannot_be_remembered_are_translated_all_the_same(self) -> None:
        class Slotted:
            __slots__ = ("Error",)

        classes = Slotted()
        classes.Error = FakeDriver.Error  # type: ignore[attr-defined]  # mypy sees no type for a bare slot
        assert driver_errors(classes).caught == (FakeDriver.Error,)
        assert driver_errors({"unhashable": 1}).caught == ()

    def test_a_drivers_module_is_not_kept_alive(self) -> None:
        module = ModuleType("driver")
        vars(module)["Error"] = FakeDriver.Error
        driver_errors(module)
        gone = weakref.ref(module)
        del module
        gc.collect()
        assert gone() is None


class TestDriverOfAnObject:
    def test_a_connection_may_carry_the_classes_itself(self) -> None:
        class Connection:
            Error = FakeDriver.Error

        connection = Connection()
        assert errors_of_driver(connection).caught == (FakeDriver.Error,)
        gone = weakref.ref(connection)
        del connection
        assert gone() is None, "nothing may keep a connection alive"

    def test_else_they_are_looked_for_in_the_packages_of_its_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        package = ModuleType("fakedriver")
        vars(package)["Error"] = FakeDriver.Error
        monkeypatch.setitem(sys.modules, "fakedriver", package)
        monkeypatch.setitem(sys.modules, "fakedriver.impl", ModuleType("fakedriver.impl"))
        connection = type("Connection", (), {"__module__": "fakedriver.impl.c_connection"})()
        assert errors_of_driver(connection) is driver_errors(package)

    def test_an_error_leads_to_its_driver_too(self) -> None:
        assert errors_of_driver(sqlite3.OperationalError("x")).caught == (sqlite3.Error, sqlite3.Warning)

    @pytest.mark.parametrize("example", [object(), 7, ValueError("x"), type("C", (), {"__module__": "nowhere"})()])
    def test_where_there_are_none_nothing_is_translated(self, example: object) -> None:
        assert errors_of_driver(example).caught == ()


class Answer(Exception):
    """As a driver's error that keeps what it was told in places of its own."""

    def __init__(self, message: str, details: object) -> None:
        super().__init__(message)
        self.msg = message
        self.details = details

    def __str__(self) -> str:
        return self.msg


def chained(cause: BaseException | None, context: BaseException | None) -> BaseException:
    error = RuntimeError("outermost")
    error.__cause__, error.__context__ = cause, context
    return error


def noted(error: BaseException, note: str) -> BaseException:
    error.add_note(note)
    return error


LEAK = f"cannot use {SECRET}"

LEAKS: dict[str, Callable[[], BaseException]] = {
    "text": lambda: RuntimeError(LEAK),
    "bytes": lambda: RuntimeError(LEAK.encode()),
    "several arguments": lambda: RuntimeError(1045, LEAK),
    "nested arguments": lambda: RuntimeError([("dsn", {"password": LEAK})]),
    "attribute": lambda: Answer(LEAK, [{"dsn": LEAK}]),
    "operating system": lambda: OSError(2, LEAK, LEAK, None, LEAK),
    "operating system, without a number": lambda: OSError(LEAK),
    "note": lambda: noted(RuntimeError("x"), LEAK),
    "cause": lambda: chained(RuntimeError(LEAK), None),
    "context": lambda: chained(None, RuntimeError(LEAK)),
    "context of an error with a cause": lambda: chained(RuntimeError("x"), RuntimeError(LEAK)),
    "cause of a context": lambda: chained(None, chained(RuntimeError(LEAK), None)),
    "group": lambda: ExceptionGroup("x", [ValueError("y"), ExceptionGroup("z", [RuntimeError(LEAK)])]),
    "group as cause": lambda: chained(ExceptionGroup("x", [RuntimeError(LEAK)]), None),
    "key": lambda: KeyError(LEAK),
}


class TestScrub:
    @pytest.mark.parametrize("make", LEAKS.values(), ids=LEAKS.keys())
    def test_a_secret_is_taken_out_wherever_an_error_keeps_it(self, make: Callable[[], BaseException]) -> None:
        error = make()
        assert SECRET in told_by(error)
        scrub(error, [SECRET])
        assert SECRET not in told_by(error)
        assert "***" in told_by(error)

    @pytest.mark.parametrize("make", LEAKS.values(), ids=LEAKS.keys())
    def test_without_the_secret_an_error_stays_as_it_was(self, make: Callable[[], BaseException]) -> None:
        error, untouched = make(), make()
        scrub(error, ["another", ""])
        assert told_by(error) == told_by(untouched)

    def test_what_holds_no_secret_stays_the_same_object(self) -> None:
        details = [1, {"a": ("b",)}]
        error = Answer(LEAK, details)
        scrub(error, [SECRET])
        assert error.details is details

    def test_errors_in_a_circle_come_to_an_end(self) -> None:
        one, other = RuntimeError(LEAK), RuntimeError(LEAK)
        one.__cause__, other.__cause__, other.__context__ = other, one, other
        scrub(one, [SECRET])
        assert SECRET not in told_by(one)


class LeakyBackend:
    """Its driver repeats what it was given, as libpq does, and tells more of it in what led there."""

    def __init__(self, settings: ConnectionSettings, step: str) -> None:
        self.settings = settings
        self.step = step

    def _leak(self, step: str) -> None:
        if step != self.step:
            return
        try:
            raise OSError(2, "no such host", f"pg://u:{self.settings.reveal_password()}@h")
        except OSError:
            error = sqlite3.OperationalError('invalid dsn "pg://u:p%40ss%2Fhunter2@h"')
            error.add_note("password=p@ss/hunter2")
            raise error from ValueError("near p@ss/hunter2")

    def get_connection_params(self) -> str:
        self._leak("params")
        return ":memory:"

    def get_new_connection(self, params: str, /) -> sqlite3.Connection:
        self._leak("connect")
        return sqlite3.connect(params)

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        self._leak("init")

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


@pytest.mark.parametrize("step", ["params", "connect", "init"])
def test_what_a_driver_repeats_of_a_password_when_it_cannot_open_is_not_told(step: str) -> None:
    settings = ConnectionSettings(password=SecretStr("p@ss/hunter2"))
    wrapper: DatabaseWrapper[Any, Any] = DatabaseWrapper(LeakyBackend(settings, step), "reports")
    with pytest.raises(errors.OperationalError) as caught:
        wrapper.connect()
    told = told_by(caught.value)
    assert SECRET not in told
    assert "p%40ss" not in told
    assert "invalid dsn" in str(caught.value)
    assert caught.value.alias == "reports"
