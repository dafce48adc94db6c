"""Lifecycle: the four methods, when they are called, and that an open is all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend_sdk import DatabaseWrapper, SupportsTransactionStatus, TransactionStatus

from ..probes import RecordingBackend
from ..register import requirement, untested

if TYPE_CHECKING:
    from ..subject import Subject

ORDER = [
    "get_connection_params",
    "get_new_connection",
    "configure_connection",
    "set_autocommit",
    "init_connection_state",
]


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
    table = subject.create_table()
    wrapper = subject.wrapper()
    cursor = wrapper.cursor()
    for member in ("execute", "fetchone", "close"):
        subject.require(hasattr(cursor, member), f"_cursor returned {cursor!r}, which has no {member}", blame="_cursor")
    cursor.execute(f"SELECT count(*) FROM {table}")
    row = cursor.fetchone()
    subject.require(row is not None and int(row[0]) == 0, f"SELECT count(*) of an empty table gave {row!r}")
    cursor.close()
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
    wrapper.connect()
    subject.require(recording.log == ORDER, f"the steps were {', '.join(recording.log)}")
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
    recording = RecordingBackend(subject.backend())
    wrapper = DatabaseWrapper(recording)
    subject.require(not recording.log and not wrapper.is_open, f"making a wrapper called {', '.join(recording.log)}")


def _failing_step(subject: Subject, step: str) -> None:
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
)
def params_alone(subject: Subject) -> None:
    donor, other = subject.view(), subject.view(**_elsewhere(subject))
    subject.create_table()
    connection = other.get_new_connection(donor.get_connection_params())
    try:
        other.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")
    except other.errors_for(connection).caught as error:
        subject.fail(f"params of one backend given to another opened a different database: {error}")
    finally:
        other.close_connection(connection)


def _elsewhere(subject: Subject) -> dict[str, Any]:
    return {"NAME": f"{subject.mapping.get('NAME', '')}_elsewhere"}


untested(
    "LIFE-013",
    "_cursor does no input or output",
    reason="a cursor is made for each statement",
    source="the contract, section 2",
    why="what a driver sends cannot be seen from outside without a proxy for its protocol",
    keyword="SHOULD",
)
