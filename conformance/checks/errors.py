"""Errors: the driver's become ours, wherever they arise; a mistake in the program stays what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backend_sdk import (
    DatabaseError,
    DatabaseWrapper,
    Error,
    IntegrityError,
    SupportsAutocommit,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsTransactions,
    errors,
)

from ..probes import RecordingBackend, open_raw, opened
from ..provoke import break_connection, caught, is_driver_error, refused_open
from ..register import requirement, untested
from ..verdict import CouldNotRun, NotApplicable

if TYPE_CHECKING:
    from ..subject import AnyWrapper, Subject

ALIAS = "conformance"
ADVICE = (
    "let the driver's error through, and declare SupportsDriverErrors with the driver's own module; in a cursor class "
    "put CheckedCursor first among the bases and override none of its methods"
)


def _require_ours(subject: Subject, error: BaseException | None, step: str, *, blame: str = "") -> None:
    """*error*, raised by *step*, is one of ours and has the driver's as its cause."""
    if not isinstance(error, Error | errors.Warning):
        kind = type(error)
        subject.fail(f"{step} raised {kind.__module__}.{kind.__qualname__}, none of ours: {error}", blame=blame)
    cause = error.__cause__
    subject.require(cause is not None, f"{step} raised {error!r} without the driver's error as its cause", blame=blame)
    subject.require(
        is_driver_error(cause), f"the cause of what {step} raised is no error of the driver: {cause!r}", blame=blame
    )


def _bad_statement(table: str) -> str:
    return f"SELECT nothing_of_this_name FROM {table}"


def _failing_execute(subject: Subject, wrapper: AnyWrapper) -> BaseException:
    """What a statement that cannot work raises."""
    sql = _bad_statement(subject.create_table())
    cursor = wrapper.cursor()
    error = caught(lambda: cursor.execute(sql))
    caught(cursor.close)
    if error is None:
        subject.fail(f"{sql!r} raised nothing", blame="_cursor")
    return error


@requirement(
    "ERR-001",
    "A connection that is refused raises one of our errors, with the driver's as its cause",
    reason="whoever uses several databases catches one tree of errors",
    source="PEP 249, Exceptions; the contract, section 2: errors",
    level=1,
    after=("LIFE-015",),
    blame=("get_new_connection", "driver_errors"),
    advice=ADVICE,
)
def at_connect(subject: Subject) -> None:
    _require_ours(subject, refused_open(subject).error, "connect", blame="get_new_connection")


@requirement(
    "ERR-002",
    "A statement that fails raises one of our errors, with the driver's as its cause",
    reason="whoever uses several databases catches one tree of errors",
    source="PEP 249, Exceptions; the contract, section 2: errors",
    level=1,
    after=("LIFE-001",),
    blame=("_cursor", "driver_errors"),
    advice=ADVICE,
)
def at_execute(subject: Subject) -> None:
    wrapper = subject.wrapper(ALIAS)
    _require_ours(subject, _failing_execute(subject, wrapper), "execute")
    wrapper.close()


@requirement(
    "ERR-003",
    "A duplicate key arrives as IntegrityError",
    reason="get-or-create and retries depend on this class, and on no other being it",
    source="PEP 249, IntegrityError",
    level=1,
    after=("ERR-002",),
    blame=("_cursor", "driver_errors"),
    advice="our class is found by the name of the driver's; leave that be, or sort by code (DBAPIBackend.sqlstate)",
)
def duplicate_key(subject: Subject) -> None:
    subject.create_table()
    wrapper = subject.wrapper(ALIAS)
    subject.insert(wrapper, 1)
    error = caught(lambda: subject.insert(wrapper, 1))
    wrapper.close()
    subject.require(error is not None, "a second row with the same primary key was taken")
    subject.require(isinstance(error, IntegrityError), f"a duplicate key raised {type(error).__name__}: {error}")


@requirement(
    "ERR-004",
    "A statement that names an unknown column arrives as DatabaseError, and not as IntegrityError",
    reason="a mistake in the SQL must not look like a duplicate key, nor like a misused interface",
    source="PEP 249, ProgrammingError and OperationalError",
    level=1,
    after=("ERR-002",),
    blame=("_cursor", "driver_errors"),
    advice="our class is found by the name of the driver's; leave the driver's class as it is",
)
def bad_statement(subject: Subject) -> None:
    wrapper = subject.wrapper(ALIAS)
    error = _failing_execute(subject, wrapper)
    wrapper.close()
    right = isinstance(error, DatabaseError) and not isinstance(error, IntegrityError)
    subject.require(right, f"an unknown column raised {type(error).__name__}: {error}")


def _in_misuse(subject: Subject, *steps: str) -> None:
    """Fetching from a cursor without a result, and from a closed one, raises ours or nothing."""
    table = subject.create_table()
    wrapper = subject.wrapper(ALIAS)
    provoked = 0
    for prepare in (_unused, _closed):
        for step in steps:
            cursor = wrapper.cursor()
            prepare(cursor, table)
            error = caught(_FETCHES[step](cursor))
            if isinstance(error, Error | errors.Warning) or is_driver_error(error):
                provoked += 1
                _require_ours(subject, error, step)
            caught(cursor.close)
    wrapper.close()
    if not provoked:
        raise CouldNotRun(f"the driver raises nothing where {', '.join(steps)} has no result to give")


_FETCHES: dict[str, Callable[[Any], Callable[[], object]]] = {
    "fetchone": lambda cursor: lambda: cursor.fetchone(),
    "fetchmany": lambda cursor: lambda: cursor.fetchmany(2),
    "fetchall": lambda cursor: lambda: cursor.fetchall(),
    "iteration": lambda cursor: lambda: list(cursor),
}


def _unused(_cursor: Any, _table: str) -> None:
    """No statement has run."""


def _closed(cursor: Any, table: str) -> None:
    cursor.execute(f"SELECT count(*) FROM {table}")
    cursor.close()


@requirement(
    "ERR-005",
    "An error while fetching is one of ours, with the driver's as its cause",
    reason="a lost connection shows in a fetch as often as in a statement",
    source="PEP 249, fetchone: an Error is raised if no result set was produced; Cursor.close",
    level=1,
    after=("ERR-002",),
    blame=("_cursor",),
    advice=ADVICE,
)
def at_fetch(subject: Subject) -> None:
    _in_misuse(subject, "fetchone", "fetchmany", "fetchall")


@requirement(
    "ERR-006",
    "An error while iterating is one of ours, with the driver's as its cause",
    reason="rows that a server sends as they are asked for fail in the middle of a loop",
    source="PEP 249, optional extensions: Cursor.__iter__",
    level=1,
    after=("ERR-002",),
    blame=("_cursor",),
    advice=ADVICE,
)
def at_iteration(subject: Subject) -> None:
    _in_misuse(subject, "iteration")


@requirement(
    "ERR-007",
    "An error in executemany is one of ours, with the driver's as its cause",
    reason="bulk loads meet duplicates most of all",
    source="PEP 249, Cursor.executemany",
    level=1,
    after=("ERR-002",),
    blame=("_cursor",),
    advice=ADVICE,
)
def at_executemany(subject: Subject) -> None:
    sql = f"INSERT INTO {subject.create_table()} (id, note) VALUES (1, 'row')"
    wrapper = subject.wrapper(ALIAS)
    cursor: Any = wrapper.cursor()
    if not hasattr(cursor, "executemany"):
        raise NotApplicable("its cursor has no executemany")
    error = caught(lambda: cursor.executemany(sql, [(), ()]))
    caught(cursor.close)
    wrapper.close()
    if isinstance(error, Error) or is_driver_error(error):
        _require_ours(subject, error, "executemany")
    else:
        raise CouldNotRun(f"executemany without parameters gave {error!r} instead of a duplicate key")


@requirement(
    "ERR-008",
    "A commit on a connection that is gone raises, and one of our errors",
    reason="a commit that fails silently loses work that was reported as done",
    source="PEP 249, Connection.commit; the contract, section 2: errors",
    level=1,
    after=("ERR-002", "TX-001"),
    blame=("commit",),
    advice="let the driver's error out of commit()",
)
def at_commit(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    view = subject.view()
    subject.create_table()
    connection = open_raw(view)
    view.begin(connection)
    break_connection(connection)
    error = caught(lambda: view.commit(connection))
    subject.require(error is not None, "commit() on a closed connection raised nothing")
    subject.needs(SupportsAutocommit)
    wrapper = subject.wrapper(ALIAS)
    wrapper.set_autocommit(False)
    subject.insert(wrapper, 1)
    break_connection(wrapper.connection)
    _require_ours(subject, caught(wrapper.commit), "commit")
    caught(wrapper.close)


@requirement(
    "ERR-009",
    "Whatever the driver raises on closing is one of ours, with the driver's as its cause",
    reason="the end of a request closes; an error of an unknown tree there takes the whole request down",
    source="PEP 249, Connection.close; the contract, section 2: errors",
    level=1,
    after=("ERR-002",),
    blame=("close_connection", "driver_errors"),
    advice=ADVICE,
)
def at_close(subject: Subject) -> None:
    driver = type(_failing_raw(subject))
    recording = RecordingBackend(subject.backend(), fail_in="close_connection", error=lambda: driver("conformance"))
    wrapper = DatabaseWrapper(recording, ALIAS)
    wrapper.connect()
    _require_ours(subject, caught(wrapper.close), "close")
    wrapper = subject.wrapper(ALIAS)
    break_connection(wrapper.connection)
    error = caught(wrapper.close)
    if error is not None:
        _require_ours(subject, error, "close", blame="close_connection")


def _failing_raw(subject: Subject) -> BaseException:
    """What the driver itself raises for a statement that cannot work."""
    view = subject.view()
    sql = _bad_statement(subject.create_table())
    with opened(view) as connection:
        error = caught(lambda: view.execute_statement(connection, sql))
    if error is None:
        subject.fail(f"{sql!r} raised nothing", blame="_cursor")
    return error


@requirement(
    "ERR-010",
    "A mistake in the program is not taken for an error of the database",
    reason="a TypeError that arrives as a DatabaseError is caught, retried and never found",
    source="the contract, section 2: a programming error is not wrapped",
    level=1,
    after=("ERR-002",),
    blame=("driver_errors", "_cursor"),
    advice="driver_errors.Error is the driver's root class, never Exception itself",
)
def mistakes_pass(subject: Subject) -> None:
    table = subject.create_table()
    for kind in (TypeError, AttributeError, LookupError):
        for step in ("init_connection_state", "_cursor"):
            recording = RecordingBackend(subject.backend(), fail_in=step, error=lambda made=kind: made("conformance"))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
            wrapper = DatabaseWrapper(recording, ALIAS)
            error = caught(wrapper.cursor)
            caught(wrapper.close)
            subject.require(type(error) is kind, f"a {kind.__name__} in {step} arrived as {type(error).__name__}")
    wrapper = subject.wrapper(ALIAS)
    cursor: Any = wrapper.cursor()
    error = caught(lambda: cursor.execute(f"SELECT count(*) FROM {table}", (), (), ()))
    caught(cursor.close)
    wrapper.close()
    right = isinstance(error, TypeError) or is_driver_error(getattr(error, "__cause__", None))
    subject.require(right, f"execute() with too many arguments raised {error!r}, no TypeError")


@requirement(
    "ERR-011",
    "The declared driver_errors are those of the driver",
    reason="errors that are looked for in the wrong module are never translated",
    source="PEP 249, Exceptions; the contract, section 2: the driver's error classes",
    level=1,
    after=("LIFE-001", "LIFE-020"),
    blame=("driver_errors",),
    advice="return the driver's module, or an object with its Error and Warning",
)
def declared_errors(subject: Subject) -> None:
    subject.needs(SupportsDriverErrors)
    declared: Any = subject.view().driver_errors
    raised = _failing_raw(subject)
    subject.require(
        isinstance(raised, declared.Error),
        f"the driver raised {type(raised).__module__}.{type(raised).__qualname__}, no "
        f"{declared.Error.__module__}.{declared.Error.__qualname__}",
    )
    for kind in (Exception, TypeError, KeyError, OSError, Error):
        subject.require(
            not issubclass(kind, declared.Error), f"driver_errors.Error takes in {kind.__module__}.{kind.__qualname__}"
        )


@requirement(
    "ERR-012",
    "After an error the connection can be used as before, and is the same one",
    reason="a duplicate key is no reason to connect anew",
    source="the contract, section 3",
    level=1,
    after=("ERR-002",),
    blame=("_cursor", "is_disconnect"),
    advice="outside of a transaction an error ends with its statement; do not close or spoil anything",
)
def usable_after_error(subject: Subject) -> None:
    table = subject.create_table()
    wrapper = subject.wrapper(ALIAS)
    connection = wrapper.connection
    cursor = wrapper.cursor()
    caught(lambda: cursor.execute(_bad_statement(table)))
    after = caught(lambda: cursor.execute(f"SELECT count(*) FROM {table}"))
    caught(cursor.close)
    subject.require(after is None, f"the same cursor refused the next statement: {after}")
    after = caught(lambda: subject.insert(wrapper, 1))
    subject.require(after is None, f"the next cursor refused its statement: {after}")
    subject.require(wrapper.connection is connection, "another connection was opened")
    wrapper.close()
    subject.require(subject.count_rows() == 1, "what was inserted after the error is not there")


@requirement(
    "ERR-013",
    "An error names the step that failed and the alias",
    reason="waiting for a pool is not connecting, and one of five databases is meant",
    source="the contract, section 2: errors name the step",
    level=1,
    after=("ERR-002",),
    blame=("_cursor", "get_new_connection"),
    advice="let the driver's error through; one that the backend translates itself has neither",
)
def names_step_and_alias(subject: Subject) -> None:
    wrapper = subject.wrapper(ALIAS)
    _require_named(subject, _failing_execute(subject, wrapper), "execute")
    wrapper.close()
    refused = _refused_or_none(subject)
    if refused is not None:
        _require_named(subject, refused, "connect")
    driver = type(_failing_raw_again(subject))
    for step in ("init_connection_state", "close_connection"):
        recording = RecordingBackend(subject.backend(), fail_in=step, error=lambda: driver("conformance"))
        wrapper = DatabaseWrapper(recording, ALIAS)
        error = caught(wrapper.connect) or caught(wrapper.close)
        _require_named(subject, error, step.removesuffix("_connection"))


def _refused_or_none(subject: Subject) -> BaseException | None:
    try:
        return refused_open(subject, ALIAS).error
    except CouldNotRun:
        return None


def _failing_raw_again(subject: Subject) -> BaseException:
    view = subject.view()
    with opened(view) as connection:
        error = caught(lambda: view.execute_statement(connection, _bad_statement(subject.TABLE)))
    assert error is not None  # the same statement has failed before
    return error


def _require_named(subject: Subject, error: Any, step: str) -> None:
    named = (getattr(error, "step", None), getattr(error, "alias", None))
    subject.require(
        named == (step, ALIAS), f"an error of {step} on {ALIAS!r} names step {named[0]!r}, alias {named[1]!r}"
    )
    subject.require(ALIAS in str(error), f"the text does not name the alias: {error}")


@requirement(
    "ERR-014",
    "is_disconnect is false for an error that is none",
    reason="a duplicate key that counts as a lost connection closes it, and breaks the transaction",
    source="the contract, section 3: disconnect classification",
    level=1,
    after=("ERR-002",),
    blame=("is_disconnect",),
    advice="look at the driver's code for the error, not at its class or at words that any message can hold",
)
def no_false_disconnect(subject: Subject) -> None:
    subject.needs(SupportsDisconnect)
    view = subject.view()
    ordinary = [_failing_raw(subject), ValueError("connection closed"), TypeError()]
    with opened(view) as connection:
        sql = f"INSERT INTO {subject.TABLE} (id, note) VALUES (1, 'row')"
        ordinary += [
            error for error in (caught(lambda: view.execute_statement(connection, sql)) for _ in "12") if error
        ]
    for error in ordinary:
        subject.require(view.is_disconnect(error) is False, f"is_disconnect({error!r}) is not False")


@requirement(
    "ERR-015",
    "A statement of init_connection_state that fails is not swallowed",
    reason="a session whose SET ROLE failed runs as the login role",
    source="the contract, section 3: atomic open",
    level=1,
    after=("LIFE-001",),
    blame=("init_connection_state", "configure_connection"),
    advice="let the driver's error out; the connection is closed then",
)
def init_lets_errors_out(subject: Subject) -> None:
    view = subject.view()
    for name in ("configure_connection", "init_connection_state"):
        connection = open_raw(view)
        break_connection(connection)
        swallowed: list[str] = []
        error = _seeing_errors(subject, swallowed, lambda used=connection, called=name: getattr(view, called)(used))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
        subject.require(
            error is not None or not swallowed,
            f"on a closed connection {name} returned as if all were well, though it met {', '.join(swallowed)}",
            blame=name,
        )


def _seeing_errors(subject: Subject, seen: list[str], call: Callable[[], object]) -> BaseException | None:
    """What *call* raises; *seen* gets the driver's errors that passed through the author's own functions."""
    modules = {cls.__module__ for cls in subject.cls.__mro__}

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if event == "exception" and frame.f_globals.get("__name__") in modules and is_driver_error(argument[1]):
            seen.append(argument[0].__name__)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return caught(call)
    finally:
        sys.settrace(before)


@requirement(
    "ERR-016",
    "driver_errors has the driver's Warning, where the driver has one",
    reason="PEP 249's Warning is no Error; one that the driver raises would arrive untranslated",
    source="PEP 249, Warning",
    level=1,
    keyword="SHOULD",
    after=("ERR-011",),
    blame=("driver_errors",),
    advice="return the driver's module itself",
)
def declared_warning(subject: Subject) -> None:
    subject.needs(SupportsDriverErrors)
    declared: Any = subject.view().driver_errors
    module = sys.modules.get(declared.Error.__module__)
    theirs = getattr(module, "Warning", None)
    if not isinstance(theirs, type):
        raise NotApplicable("the driver has no Warning")
    subject.require(getattr(declared, "Warning", None) is theirs, f"driver_errors has no {theirs.__module__}.Warning")


untested(
    "ERR-017",
    "A Warning that the driver raises arrives as ours",
    reason="PEP 249's Warning is no Error",
    source="PEP 249, Warning",
    why="no statement makes drivers raise one alike; that its class is declared is checked",
)

untested(
    "ERR-018",
    "An error in the middle of a result that the server sends row by row is one of ours",
    reason="the first rows were good, and the loop is under way",
    source="PEP 249, Cursor.fetchone",
    why="no plain SQL fails in the middle of a result in every database; errors of a fetch are provoked otherwise",
)
