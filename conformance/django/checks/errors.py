"""The driver's errors, as Django's: at every step, of the right class, with their cause."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import CouldNotRun, NotApplicable

from .lifecycle import pools

if TYPE_CHECKING:
    from ..subject import DjangoSubject

CURSORS = ("create_cursor", "make_cursor", "_prepare_cursor", "_cursor", "cursor", "wrap_database_errors")


class Refusing:
    """A driver's connection of which one method raises the driver's error; the rest is the connection's own."""

    def __init__(self, connection: Any, method: str, error: BaseException) -> None:
        vars(self).update(_connection=connection, _method=method, _error=error)

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            return self._refuse
        return getattr(self._connection, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._connection, name, value)

    def _refuse(self, *_arguments: object, **_named: object) -> None:
        raise self._error


def closes_the_drivers(subject: DjangoSubject) -> None:
    """A pool takes its own connections back, and none of the kit's."""
    if pools(subject):
        raise NotApplicable("close() gives the connection back to a pool")


def refusing(subject: DjangoSubject, wrapper: Any, method: str) -> BaseException:
    """Make the driver's *method* fail from now on; returns the error."""
    error: BaseException = subject.cls.Database.OperationalError(f"{method} refused by the kit")
    wrapper.connection = Refusing(wrapper.connection, method, error)
    return error


def translated(subject: DjangoSubject, what: str, call: Callable[[], object], cause: BaseException) -> None:
    error = subject.require_django_error(what, call, "OperationalError")
    subject.require(error.__cause__ is cause, f"{what}: the error's __cause__ is {error.__cause__!r}, not the driver's")


@requirement(
    "DJERR-001",
    "A failed open raises Django's error, with the driver's as its cause",
    reason="health pages and retries catch django.db.OperationalError",
    source="Django docs, exceptions: database exceptions",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("ensure_connection", "connect", "get_new_connection", "wrap_database_errors"),
)
def failed_open(subject: DjangoSubject) -> None:
    from conformance.provoke import _closed_port

    away: dict[str, Any] = {"NAME": str(subject.workdir / "no such folder" / "x")}
    if subject.mapping.get("HOST"):
        away = {"HOST": "127.0.0.1", "PORT": _closed_port()}
    wrapper = subject.loose(**away)
    for attempt in ("the first", "the second"):
        if caught(wrapper.ensure_connection) is None:
            raise CouldNotRun("the kit found no settings with which this engine cannot open a connection")
        error = subject.require_django_error(f"{attempt} failed open", wrapper.ensure_connection)
        is_drivers = isinstance(error.__cause__, subject.cls.Database.Error)
        subject.require(is_drivers, f"{attempt} failed open: the error's __cause__ is {error.__cause__!r}")


@requirement(
    "DJERR-002",
    "A wrong statement raises Django's DatabaseError, with the driver's as its cause",
    reason="the application catches Django's classes alone",
    source="Django docs, exceptions: database exceptions",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=CURSORS,
)
def wrong_statement(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    for sql in ("SELEKT 1", "SELECT 1 FROM no_such_table_of_the_kit"):
        error = subject.require_django_error(f"{sql!r}", partial(subject.execute, wrapper, sql), "DatabaseError")
        is_drivers = isinstance(error.__cause__, subject.cls.Database.Error)
        subject.require(is_drivers, f"{sql!r}: the error's __cause__ is {error.__cause__!r}, not the driver's")


@requirement(
    "DJERR-003",
    "A duplicate key raises IntegrityError, by execute() and by executemany()",
    reason="get_or_create catches nothing else",
    source="Django docs, exceptions: database exceptions",
    level=1,
    profile="django",
    after=("DJERR-002",),
    blame=CURSORS,
)
def duplicate_key(subject: DjangoSubject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    subject.insert(wrapper, 1)
    subject.require_django_error("a duplicate key", lambda: subject.insert(wrapper, 1), "IntegrityError")

    def many() -> None:
        with wrapper.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {subject.TABLE} (id) VALUES (%s)", [(1,), (1,)])

    subject.require_django_error("a duplicate key by executemany()", many, "IntegrityError")


@requirement(
    "DJERR-004",
    "An error while fetching or iterating is Django's",
    reason="servers send errors with the rows, long after execute()",
    source="Django, CursorWrapper.WRAP_ERROR_ATTRS",
    level=1,
    profile="django",
    after=("DJERR-002",),
    blame=CURSORS,
)
def fetching(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    calls: dict[str, Callable[[Any], object]] = {
        "fetchone()": lambda cursor: cursor.fetchone(),
        "fetchmany()": lambda cursor: cursor.fetchmany(2),
        "fetchall()": lambda cursor: cursor.fetchall(),
        "iteration": lambda cursor: list(cursor),
    }
    witness = subject.witness()
    for name, call in calls.items():
        cursor = wrapper.cursor()
        cursor.execute(f"SELECT 1{wrapper.features.bare_select_suffix}")
        cursor.close()
        error = caught(partial(call, cursor))
        if error is not None and not isinstance(error, subject.db.utils.Error):
            raw = witness.connection.cursor()
            raw.execute(f"SELECT 1{wrapper.features.bare_select_suffix}")
            raw.close()
            drivers = caught(partial(call, raw))  # mysqlclient raises a TypeError, which is no error of PEP 249's
            subject.require(
                type(error) is type(drivers) and not isinstance(error, subject.cls.Database.Error),
                f"{name} of a closed cursor raised {type(error).__module__}.{type(error).__qualname__}, not Django's",
            )
    witness.close()


@requirement(
    "DJERR-005",
    "A commit that the driver refuses raises Django's OperationalError, with its cause",
    reason="a lost connection shows at commit more often than anywhere",
    source="Django, BaseDatabaseWrapper._commit",
    level=1,
    profile="django",
    after=("DJTX-006",),
    blame=("_commit", "commit"),
)
def failing_commit(subject: DjangoSubject) -> None:
    _failing(subject, "commit")


@requirement(
    "DJERR-006",
    "A rollback that the driver refuses raises Django's OperationalError, with its cause",
    reason="it is the first thing tried on a lost connection",
    source="Django, BaseDatabaseWrapper._rollback",
    level=1,
    profile="django",
    after=("DJTX-006",),
    blame=("_rollback", "rollback"),
)
def failing_rollback(subject: DjangoSubject) -> None:
    _failing(subject, "rollback")


def _failing(subject: DjangoSubject, step: str) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    wrapper.set_autocommit(False)
    subject.insert(wrapper, 1)
    cause = refusing(subject, wrapper, step)
    if not reaches(wrapper, f"_{step}", cause):
        raise NotApplicable(f"the engine does not use the driver's {step}()")
    translated(subject, f"{step}() that the driver refuses", getattr(wrapper, step), cause)


def reaches(wrapper: Any, method: str, cause: BaseException) -> bool:
    """Whether *method* comes to the driver's call that the kit refuses."""
    error: BaseException | None = None
    try:
        getattr(wrapper, method)()
    except BaseException as raised:
        error = raised
    while error is not None:
        if error is cause or error.args == cause.args:
            return True
        error = error.__cause__ or error.__context__
    return False


@requirement(
    "DJERR-007",
    "A close that the driver refuses raises Django's OperationalError or nothing",
    reason="Django closes in a signal handler; a stranger's exception ends the request",
    source="Django, BaseDatabaseWrapper._close",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("_close", "close"),
)
def failing_close(subject: DjangoSubject) -> None:
    closes_the_drivers(subject)
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    cause = refusing(subject, wrapper, "close")
    error = caught(wrapper.close)
    if error is not None:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        subject.require(
            isinstance(error, subject.db.utils.OperationalError),
            f"close() that the driver refuses raised {kind}, not django.db.utils.OperationalError",
        )
        subject.require(error.__cause__ is cause, f"close(): the error's __cause__ is {error.__cause__!r}")


@requirement(
    "DJERR-008",
    "Every error of the driver arrives as the class of Django's that has its name",
    reason="an OperationalError that arrives as DatabaseError is not retried",
    source="Django, DatabaseErrorWrapper",
    level=1,
    profile="django",
    after=("DJSIG-005",),
    blame=("wrap_database_errors",),
)
def classes(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    for name in (
        "DataError", "OperationalError", "IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError",
        "DatabaseError", "InterfaceError", "Error",
    ):  # fmt: skip
        cause = getattr(subject.cls.Database, name)("by the kit", 7)

        def raise_it(cause: BaseException = cause) -> None:
            with wrapper.wrap_database_errors:
                raise cause

        error = subject.require_django_error(f"the driver's {name}", raise_it)
        subject.require(type(error).__name__ == name, f"the driver's {name} arrived as {type(error).__name__}")
        subject.require(error.__cause__ is cause, f"the driver's {name} arrived without its cause")
        subject.require(error.args == cause.args, f"the driver's {name} arrived without its arguments")


@requirement(
    "DJERR-009",
    "A mistake in the application's own code is not dressed up as a database error, and sets no flag",
    reason="a TypeError that is taken for a lost connection is retried for ever",
    source="Django, DatabaseErrorWrapper",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("wrap_database_errors", *CURSORS),
)
def programming_errors(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()

    def mistake() -> None:
        with wrapper.cursor() as cursor, wrapper.wrap_database_errors:
            cursor.execute(f"SELECT 1{wrapper.features.bare_select_suffix}")
            raise ZeroDivisionError("by the kit")

    error = caught(mistake)
    subject.require(type(error) is ZeroDivisionError, f"a ZeroDivisionError arrived as {type(error).__name__}")
    subject.require(not wrapper.errors_occurred, "a ZeroDivisionError set errors_occurred")


@requirement(
    "DJERR-010",
    "An error on the driver's side sets errors_occurred, so that the connection is tried before its next use",
    reason="without the flag a dead connection is handed to one request after another",
    source="Django, BaseDatabaseWrapper.close_if_unusable_or_obsolete",
    level=1,
    profile="django",
    after=("DJERR-002",),
    blame=("wrap_database_errors", *CURSORS),
)
def flag(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    caught(lambda: subject.execute(wrapper, "SELECT 1 FROM no_such_table_of_the_kit"))
    subject.require(wrapper.errors_occurred, "after an OperationalError errors_occurred is not set")


def class_of(subject: DjangoSubject, cause: BaseException) -> str:
    """The name of the class of Django's that *cause* has to arrive as: the most special one of PEP 249's."""
    order = ("DataError", "OperationalError", "IntegrityError", "InternalError", "ProgrammingError",
             "NotSupportedError", "DatabaseError", "InterfaceError", "Error")  # fmt: skip
    return next(name for name in order if isinstance(cause, getattr(subject.cls.Database, name)))


@requirement(
    "DJERR-011",
    "What the database refuses about a savepoint raises Django's error, of the class of the driver's, its cause",
    reason="atomic() catches django.db.DatabaseError alone to undo an inner block",
    source="Django, Atomic.__exit__",
    level=1,
    profile="django",
    after=("DJERR-002", "DJTX-004"),
    blame=("_savepoint_rollback", "_savepoint_commit", "savepoint_rollback", "savepoint_commit", *CURSORS),
    advice="send it by self.cursor(), which translates errors",
)
def savepoint_refused(subject: DjangoSubject) -> None:
    subject.needs_savepoints()
    for name in ("savepoint_rollback", "savepoint_commit"):
        wrapper = subject.wrapper()
        with subject.failing_block(wrapper):
            what = f"{name}() of a savepoint that there is not"
            error = subject.require_django_error(what, partial(getattr(wrapper, name), "conformance_unknown"))
        subject.require(
            isinstance(error.__cause__, subject.cls.Database.Error),
            f"{what}: the error's __cause__ is {error.__cause__!r}, not the driver's",
            blame=f"_{name}",
        )
        wanted = class_of(subject, error.__cause__)
        subject.require(
            type(error).__name__ == wanted,
            f"{what}: the driver's {wanted} arrived as {type(error).__name__}",
            blame=f"_{name}",
        )


@requirement(
    "DJERR-012",
    "A savepoint that cannot be made raises Django's OperationalError, with the driver's as its cause",
    reason="a session that is lost between two statements is lost at a savepoint as often",
    source="Django, Atomic.__enter__",
    level=1,
    profile="django",
    after=("DJERR-002", "DJTX-004"),
    blame=("_savepoint", "savepoint", *CURSORS),
    advice="send it by self.cursor(), which translates errors",
)
def savepoint_not_made(subject: DjangoSubject) -> None:
    subject.needs_savepoints()
    wrapper = subject.wrapper()
    with subject.failing_block(wrapper):
        held = wrapper.connection
        errors: list[BaseException] = []
        for method in ("cursor", "execute"):
            wrapper.connection = held
            cause = refusing(subject, wrapper, method)
            if reaches(wrapper, "savepoint", cause):
                translated(subject, "savepoint() that the driver refuses", wrapper.savepoint, cause)
                errors.append(cause)
        wrapper.connection = held
    if not errors:
        raise NotApplicable("savepoint() uses neither cursor() nor execute() of the driver's connection")
