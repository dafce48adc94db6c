"""Lifecycle: the four methods, when they are called, and that an open is all or nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backend_sdk import (
    ABILITIES,
    DatabaseWrapper,
    Error,
    ImproperlyConfigured,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsIsBroken,
    SupportsPing,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

from ..leases import MANY, behind, require_temporary_gone, temporary_table
from ..probes import RecordingBackend, settles
from ..provoke import caught, descriptors, methods_called, refused_open, system_calls, unreachable
from ..register import requirement, untested
from ..verdict import CouldNotRun

if TYPE_CHECKING:
    from ..subject import AnyBackend, Subject

ORDER = [
    "get_connection_params",
    "get_new_connection",
    "configure_connection",
    "set_autocommit",
    "init_connection_state",
]
STEPS = ["get_new_connection", "configure_connection", "init_connection_state", "_cursor"]


@requirement(
    "LIFE-001",
    "A connection can be opened, and a cursor of it runs a statement",
    reason="nothing else can be judged before this works",
    source="the contract, section 2",
    level=1,
    after=("TYPE-001", "SET-001"),
    blame=("get_new_connection", "get_connection_params", "_cursor"),
    advice="get_new_connection(params) returns the driver's connection; _cursor(connection) a new cursor of it",
)
def opens_and_executes(subject: Subject) -> None:
    wrapper = subject.wrapper()
    wrapper.connect()  # first of all: a server that cannot be reached says nothing about the backend
    table = subject.create_table()
    made = wrapper.backend._cursor(wrapper.connection)  # the wrapper's own may be wrapped, and so has every member
    for member in ("execute", "fetchone", "close"):
        subject.require(hasattr(made, member), f"_cursor returned {made!r}, which has no {member}", blame="_cursor")
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT count(*) FROM {table}")
    row = cursor.fetchone()
    subject.require(row is not None and int(row[0]) == 0, f"SELECT count(*) of an empty table gave {row!r}")
    cursor.close()
    made.close()
    wrapper.close()


@requirement(
    "LIFE-002",
    "Opening calls params, open, configure, autocommit and init once each, in this order",
    reason="a pool replaces single steps; each must do its own work only",
    source="Django ticket 19274",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection",),
    advice="the wrapper calls the steps; a method must not call another step itself",
)
def steps_in_order(subject: Subject) -> None:
    recording = RecordingBackend(subject.backend())
    wrapper = DatabaseWrapper(recording)
    inside = methods_called(subject, ORDER, wrapper.connect)
    subject.require(recording.log == ORDER, f"the steps were {', '.join(recording.log)}")
    for name in ORDER:
        subject.require(inside.count(name) < 2, f"a step called {name} itself: {', '.join(inside)}", blame=name)
    wrapper.connect()
    subject.require(recording.log == ORDER, "a second connect() opened again")
    wrapper.close()


@requirement(
    "LIFE-003",
    "Nothing is opened before the first use",
    reason="a wrapper is made for each alias of each thread, used or not",
    source="Django ticket 17258",
    level=1,
    after=("LIFE-001",),
    blame=("__init__",),
    advice="open connections in get_new_connection alone",
)
def lazy(subject: Subject) -> None:
    made: list[DatabaseWrapper[Any, Any]] = []
    opened = system_calls(lambda: made.append(subject.wrapper()))
    connected = [call for call in opened if "connect" in call]
    subject.require(not connected, f"making a backend and a wrapper did {', '.join(connected)}")
    called = methods_called(subject, STEPS, lambda: made.append(subject.wrapper()))
    subject.require(not called, f"making a backend and a wrapper called {', '.join(called)}")
    subject.require(not made[0].is_open, "a new wrapper says that it is open")


def _failing_step(subject: Subject, step: str) -> None:
    if subject.leases:
        return _failing_behind(subject, step)
    return _failing_before(subject, step)


def _failing_behind(subject: Subject, step: str) -> None:
    """The step fails where the pool takes it."""
    with behind(subject) as watched:
        watched.fail_in = step
        for _ in range(MANY):
            wrapper = subject.wrapper()
            subject.require(caught(wrapper.connect) is not None, f"an error in {step} was swallowed", blame=step)
            subject.require(not wrapper.is_open, f"after {step} failed the wrapper kept the connection")
        subject.require(
            watched.alive() == 0,
            f"after {step} failed behind the pool {watched.alive()} connection(s) are still open",
            blame="get_new_connection",
        )
        watched.fail_in = ""
        wrapper = subject.wrapper()
        error = caught(wrapper.connect)
        subject.require(
            error is None,
            f"after {MANY} opens that failed in {step} the pool has no place left: {error}",
            blame="get_new_connection",
            advice="give a place back whatever happens while it is being filled",
        )
        wrapper.close()


def _failing_before(subject: Subject, step: str) -> None:
    recording = RecordingBackend(subject.backend(), fail_in=step)
    wrapper = DatabaseWrapper(recording)
    try:
        wrapper.connect()
    except RuntimeError:
        pass
    else:
        subject.fail(f"an error in {step} was swallowed", blame=step)
    subject.require(not wrapper.is_open, f"after {step} failed the wrapper kept the connection")
    subject.require(
        len(recording.closed) == 1, f"after {step} failed the connection was not closed", blame="close_connection"
    )
    _require_closed(subject, recording.opened[0], f"after {step} failed the driver's connection is still open")


def _require_closed(subject: Subject, connection: Any, observed: str) -> None:
    view = subject.view()
    try:
        cursor = view._cursor(connection)
        view.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")
        cursor.close()
    except view.errors_for(connection).caught:
        return
    subject.fail(observed, blame="close_connection", advice="close_connection must end the driver's session")


for _number, _step in ((4, "configure_connection"), (5, "set_autocommit"), (6, "init_connection_state")):

    def _check(subject: Subject, step: str = _step) -> None:
        subject.create_table()
        _failing_step(subject, step)

    requirement(
        f"LIFE-{_number:03}",
        f"When {_step} fails, the connection is closed and nothing is kept",
        reason="a half-initialized session runs with the wrong role, schema or time zone",
        source="the contract, section 3: atomic open",
        level=1,
        after=("LIFE-002",),
        blame=("close_connection", _step),
        advice="let errors out of the step; do not keep the connection anywhere",
        leased="where the pool opens, it closes what it has opened, and the place is free for the next",
    )(_check)


@requirement(
    "LIFE-007",
    "init_connection_state may be called again on the same connection",
    reason="a pool calls it on each acquisition",
    source="Django ticket 19274",
    level=1,
    after=("LIFE-001",),
    blame=("init_connection_state",),
    advice="use statements that can be repeated (SET, CREATE IF NOT EXISTS); create functions in configure_connection",
)
def init_repeats(subject: Subject) -> None:
    view = subject.view()
    wrapper = subject.wrapper()
    connection = wrapper.connection
    for _ in range(3):
        view.init_connection_state(connection)
    subject.execute(wrapper, f"SELECT count(*) FROM {subject.create_table()}")
    wrapper.close()


@requirement(
    "LIFE-008",
    "Opening leaves no transaction open",
    reason="what the first user commits, or not, would depend on the initialization",
    source="the contract, section 2",
    level=1,
    after=("LIFE-001",),
    blame=("init_connection_state", "configure_connection", "get_new_connection"),
    advice="run the initialization in autocommit, or end its transaction",
)
def no_open_transaction(subject: Subject) -> None:
    subject.needs(SupportsTransactionStatus)
    wrapper = subject.wrapper()
    status = subject.view().transaction_status(wrapper.connection)
    subject.require(status is TransactionStatus.IDLE, f"after opening the driver reports {status.value!r}")
    wrapper.close()


@requirement(
    "LIFE-009",
    "Each call of get_new_connection returns a connection that nobody else holds",
    reason="two wrappers on one connection mix their transactions",
    source="the contract, section 2",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection",),
    advice="open a new connection at each call; keep none",
)
def own_connection(subject: Subject) -> None:
    backend = subject.backend()
    first, second = DatabaseWrapper(backend, "first"), DatabaseWrapper(backend, "second")
    subject.require(first.connection is not second.connection, "two wrappers of one backend got the same connection")
    first.close()
    subject.execute(second, f"SELECT count(*) FROM {subject.create_table()}")
    second.close()


@requirement(
    "LIFE-010",
    "A cursor runs in its connection's own session and transaction",
    reason="DuckDB's connection.cursor() is a second session: its work escapes the transaction",
    source='DuckDB\'s Python manual, "duckdb.DuckDBPyConnection.cursor"',
    level=1,
    after=("TX-001",),
    blame=("_cursor",),
    advice="return a cursor of the same session; write a small cursor over the connection where the driver has none",
)
def cursor_in_session(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    table = subject.create_table()
    wrapper = subject.wrapper()
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            cursor = wrapper.cursor()
            cursor.execute(f"SELECT count(*) FROM {table}")
            seen = int(cursor.fetchone()[0])
            cursor.close()
            subject.require(seen == 1, f"a second cursor of the same connection saw {seen} of the 1 row just inserted")
            raise LookupError
    except LookupError:
        pass
    subject.require(subject.count_rows() == 0, "a row inserted by a cursor survived the rollback of its connection")
    wrapper.close()


@requirement(
    "LIFE-011",
    "Each cursor() is a new cursor",
    reason="two result sets are read side by side",
    source="PEP 249, Connection.cursor",
    level=1,
    after=("LIFE-001",),
    blame=("_cursor",),
    advice="return a new cursor at each call",
)
def new_cursors(subject: Subject) -> None:
    wrapper = subject.wrapper()
    first, second = wrapper.cursor(), wrapper.cursor()
    subject.require(first is not second, "cursor() returned the same object twice")
    first.close()
    second.execute(f"SELECT count(*) FROM {subject.create_table()}")
    second.close()
    wrapper.close()


@requirement(
    "LIFE-012",
    "get_new_connection reads nothing but its params",
    reason="a pool opens connections from params it has kept, when no wrapper exists",
    source="Django ticket 19274",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection",),
    advice="put everything it needs into get_connection_params",
    leased="the backend behind it does so, and the pool gives it its own params and no others",
)
def params_alone(subject: Subject) -> None:
    donor, other = subject.opener(), subject.opener(**_elsewhere(subject))
    subject.create_table()
    connection = other.get_new_connection(donor.get_connection_params())
    try:
        other.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")
    except other.errors_for(connection).caught as error:
        subject.fail(f"params of one backend given to another opened a different database: {error}")
    finally:
        other.close_connection(connection)
    if subject.leases:
        _own_params(subject)


def _own_params(subject: Subject) -> None:
    for changes in ({"NAME": f"{subject.workdir / 'other'}"} if "HOST" not in subject.mapping else {}, {}):
        opener = subject.opener(**changes)
        wanted = {key: value for key, value in _items(opener) if key not in opener.expiring_params}
        with behind(subject) as watched:
            wrapper = subject.wrapper(**changes)
            wrapper.connect()
            wrapper.close()
        for params in watched.params:
            given = {key: value for key, value in dict(params).items() if key in wanted}
            subject.require(given == wanted, "the pool opened with params that are not those of the backend behind it")


def _items(opener: AnyBackend) -> list[tuple[Any, Any]]:
    params = opener.get_connection_params()
    return list(params.items()) if isinstance(params, dict) else []


def _elsewhere(subject: Subject) -> dict[str, Any]:
    return {"NAME": f"{subject.mapping.get('NAME', '')}_elsewhere"}


@requirement(
    "LIFE-014",
    "An open that fails leaves nothing open",
    reason="a service that retries against a server that is down would run out of sockets",
    source="the contract, section 2: get_new_connection",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection",),
    advice="close what was opened before letting the error out (try/except around what follows the connect)",
)
def failure_leaves_nothing(subject: Subject) -> None:
    tried = False
    for changes in unreachable(subject):
        wrapper = subject.wrapper("refused", **changes)
        if caught(wrapper.connect) is None:  # and what is made once, at the first attempt, is made now
            wrapper.close()
            continue
        tried, before = True, _settled_descriptors()
        for _ in range(3):
            caught(wrapper.connect)
        left = _settled_descriptors() - before
        subject.require(left < 3, f"after 3 failed opens the process has {left} more files or sockets open")
        subject.require(not wrapper.is_open, "after a failed open the wrapper says that it is open")
    if not tried:
        raise CouldNotRun("the kit found no settings with which this backend cannot open a connection")


def _settled_descriptors() -> int:
    gc.collect()  # some drivers' connections sit in a cycle
    return descriptors()


@requirement(
    "LIFE-015",
    "A connection that cannot be opened raises; nothing is returned in its place",
    reason="a None that stands for a failure is found statements later, as an AttributeError",
    source="PEP 249, connect; the contract, section 2: get_new_connection",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection",),
    advice="let the driver's error out of get_new_connection",
)
def failure_raises(subject: Subject) -> None:
    error = refused_open(subject).error
    subject.require(
        isinstance(error, Error), f"instead of the driver's error there was {type(error).__name__}: {error}"
    )


@requirement(
    "LIFE-016",
    "One open is one session, and a cursor opens no other",
    reason="the connections that a server grants are counted by the wrappers there are",
    source="the contract, sections 1 and 2: init_connection_state does not open or close",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection", "init_connection_state", "configure_connection", "_cursor"),
    advice="open in get_new_connection alone, and once",
)
def one_session(subject: Subject) -> None:
    table = subject.create_table()
    # A session of the witness's has ended each time, which a server notices a moment later.
    before = 0 if settles(lambda: subject.sessions() == 0, 0.5) else subject.sessions()
    wrapper = subject.wrapper()
    wrapper.connect()
    if not settles(lambda: subject.sessions() - before == 1, 0.5):
        subject.fail(f"connect() opened {subject.sessions() - before} sessions")
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT count(*) FROM {table}")
    cursor.fetchone()
    if not settles(lambda: subject.sessions() - before == 1, 0.5):
        subject.fail(f"with one cursor in use there were {subject.sessions() - before} sessions", blame="_cursor")
    cursor.close()
    wrapper.close()


@requirement(
    "LIFE-017",
    "The params are asked for anew before each open",
    reason="a credential that was kept has expired by the time of the next open",
    source="Django ticket 19274; the contract, section 2: get_connection_params",
    level=1,
    after=("LIFE-001",),
    blame=("get_connection_params",),
    advice="do not open with params kept from an earlier call",
    leased="the pool asks the backend behind it, before each open",
)
def params_each_open(subject: Subject) -> None:
    if subject.leases:
        return _params_behind(subject)
    return _params_each_open(subject)


def _params_behind(subject: Subject) -> None:
    with behind(subject) as watched:
        wrappers = [subject.wrapper(f"alias{number}") for number in range(3)]
        for wrapper in wrappers:
            wrapper.connect()
        asked, opens = (watched.log.count(name) for name in ORDER[:2])
        subject.require(opens == 3, f"3 leases at once opened {opens} connection(s)")
        subject.require(
            asked >= opens,
            f"{opens} opens behind the pool asked {asked} time(s) for params",
            blame="get_new_connection",
        )
        for wrapper in wrappers:
            wrapper.close()


def _params_each_open(subject: Subject) -> None:
    recording = RecordingBackend(subject.backend())
    wrapper = DatabaseWrapper(recording)
    names = ("get_connection_params", "get_new_connection")
    for number in (1, 2):
        inside = methods_called(subject, names, wrapper.connect)
        wrapper.close()
        for name in names:
            subject.require(
                recording.log.count(name) == number and inside.count(name) < 2,
                f"open number {number} called {name} {inside.count(name)} times",
                blame=name,
            )


@requirement(
    "LIFE-018",
    "Closing and opening again gives a new session",
    reason="what the last user did to a session must be gone with it",
    source="the contract, section 2: get_new_connection",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection", "close_connection"),
    advice="open a new connection at each call; keep none",
    leased="or one made as new: no transaction, no temporary table, nothing of its last user's",
)
def reopens(subject: Subject) -> None:
    table = subject.create_table()
    if subject.leases:
        return _made_as_new(subject)
    return _reopens(subject, table)


def _made_as_new(subject: Subject) -> None:
    """Two leases one after the other, which are of the same session if the pool can help it."""
    wrapper = subject.wrapper()
    left = temporary_table(subject, wrapper)
    wrapper.close()
    require_temporary_gone(subject, left, wrapper)
    wrapper.close()
    if subject.has(SupportsTransactions):
        wrapper.backend.begin(wrapper.connection)
        subject.insert(wrapper, 1)
        wrapper.close()
        subject.require(subject.count_rows() == 0, "the last lease's open transaction was committed")
        wrapper.connect()
        status = wrapper.backend.transaction_status(wrapper.connection)
        subject.require(_is_status(status), f"a lease began with a session {status.value!r}", blame="close_connection")
        subject.insert(wrapper, 2)
        seen = subject.count_rows()
        subject.require(seen == 1, f"of one row that the next lease inserted {seen} were to be seen at once")
    wrapper.close()


def _reopens(subject: Subject, table: str) -> None:
    wrapper = subject.wrapper()
    first = wrapper.connection
    wrapper.close()
    subject.require(wrapper.connection is not first, "after close() the same connection was opened again")
    subject.execute(wrapper, f"SELECT count(*) FROM {table}")
    wrapper.close()


@requirement(
    "LIFE-019",
    "The methods return what the contract says: params and a connection, nothing from init_connection_state",
    reason="a coroutine, generator or context manager that nobody runs does nothing, without a word",
    source="the contract, section 2",
    level=1,
    after=("LIFE-001",),
    advice="return the driver's connection itself; let init_connection_state end without a return",
)
def return_values(subject: Subject) -> None:
    view = subject.view()
    params = view.get_connection_params()
    subject.require(params is not None, "get_connection_params returned None", blame="get_connection_params")
    wrapper = subject.wrapper()
    connection = wrapper.connection
    subject.require(
        hasattr(connection, "close") or _closes(subject),
        f"get_new_connection returned {connection!r}, which has no close()",
        blame="get_new_connection",
        advice="declare SupportsClose where it is closed otherwise",
    )
    for name in ("configure_connection", "init_connection_state"):
        returned: object = getattr(view, name)(connection)
        subject.require(returned is None, f"{name} returned a {type(returned).__name__}", blame=name)
    wrapper.close()


def _closes(subject: Subject) -> bool:
    return any(ability.__name__ == "SupportsClose" for ability in subject.view().abilities)


def _is_status(value: Any) -> bool:
    return value in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}


def _is_version(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(part, int) for part in value)


def _has_error(value: Any) -> bool:
    error = getattr(value, "Error", None)
    return isinstance(error, type) and issubclass(error, Exception)


# What a member of a declared ability says of a fresh connection; the other abilities have checks of their own.
_ANSWERS: dict[type, tuple[str, str, Callable[[Any], bool]]] = {
    SupportsPing: ("ping", "None", lambda value: value is None),
    SupportsIsBroken: ("is_broken", "False", lambda value: value is False),
    SupportsTransactionStatus: ("transaction_status", "TransactionStatus.IDLE", _is_status),
    SupportsServerVersion: ("server_version", "a tuple of numbers, as (16, 4)", _is_version),
    SupportsTransactionalDDL: ("transactional_ddl", "True", lambda value: value is True),
    SupportsThreadSafety: ("threadsafety", "PEP 249's level, 0 to 3", lambda value: value in {0, 1, 2, 3}),
    SupportsDriverErrors: ("driver_errors", "what has the driver's Error", _has_error),
    SupportsExpiringCredentials: (
        "expiring_params",
        "a frozenset of names",
        lambda value: isinstance(value, frozenset) and all(isinstance(name, str) for name in value),
    ),
}


@requirement(
    "LIFE-020",
    "A declared ability answers on a fresh connection, and with the right kind of value",
    reason="a declared ability that does not work is worse than none: what happens without it would have been safe",
    source="the contract, section 2: optional abilities",
    level=1,
    after=("LIFE-001", "TYPE-002"),
    advice="see the docstring of the Supports... protocol; do not declare what the driver cannot do",
)
def abilities_answer(subject: Subject) -> None:
    wrapper = subject.wrapper()
    view, connection = wrapper.backend, wrapper.connection
    for ability in (ability for ability in ABILITIES if ability in view.abilities and ability in _ANSWERS):
        name, wanted, is_right = _ANSWERS[ability]
        try:
            member = getattr(view, name)
            answer = member(connection) if callable(member) and not isinstance(member, type) else member
        except Exception as error:
            subject.fail(f"{name} raised {type(error).__name__}: {error}", blame=name)
        subject.require(is_right(answer), f"{name} gave {answer!r} instead of {wanted}", blame=name)
    wrapper.close()


@requirement(
    "LIFE-021",
    "AUTOCOMMIT switched off in the settings holds from the first statement on, or is refused in words",
    reason="rows that were to be committed together are committed one by one",
    source="PEP 249, Connection.commit; the contract, section 2: autocommit",
    level=1,
    after=("LIFE-001",),
    blame=("set_autocommit", "init_connection_state"),
    advice="declare SupportsAutocommit and switch the mode in set_autocommit; leave it alone in init_connection_state",
)
def autocommit_obeyed(subject: Subject) -> None:
    subject.create_table()
    try:
        wrapper = subject.wrapper(AUTOCOMMIT=False)
        subject.insert(wrapper, 1)
    except ImproperlyConfigured:
        return
    subject.require(subject.count_rows() == 0, "with AUTOCOMMIT off an insert was committed by itself")
    wrapper.close()


untested(
    "LIFE-013",
    "_cursor does no input or output",
    reason="a cursor is made for each statement",
    source="the contract, section 2",
    why="what a driver sends cannot be seen from outside without a proxy for its protocol",
    keyword="SHOULD",
)

untested(
    "LIFE-022",
    "get_new_connection does not initialize the session",
    reason="a pool that resets and initializes again would keep what only the open has set",
    source="Django ticket 19274",
    why="what a method sends cannot be told from what the driver sends by itself while it connects",
)

untested(
    "LIFE-023",
    "configure_connection does not depend on the session's state",
    reason="it runs once, before autocommit is set and before the session is initialized",
    source="the contract, section 2: configure_connection",
    why="which states a driver's session has is not known to the kit",
)
