"""Closing: the session ends, whatever state it is in, and nothing dead stays in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend_sdk import DatabaseWrapper, Error, SupportsTransactions, errors

from ..leases import require_each_comes_back
from ..probes import RecordingBackend, in_thread, open_raw, settles
from ..provoke import accepted, break_connection, caught
from ..register import requirement, untested

if TYPE_CHECKING:
    from ..subject import AnyBackend, AnyWrapper, Subject


def _require_ended(subject: Subject, view: AnyBackend, connection: Any, when: str) -> None:
    """The raw *connection* runs no statement any more."""
    error = caught(lambda: view.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}"))
    subject.require(error is not None, f"{when} the driver's connection still runs statements")


@requirement(
    "CLOSE-001",
    "Closing ends the driver's session",
    reason="sessions that stay open count against the server's limit until nobody can connect",
    source="PEP 249, Connection.close",
    level=1,
    after=("LIFE-001",),
    blame=("close_connection",),
    advice="close_connection must end the driver's session; without SupportsClose connection.close() does",
    leased="closing gives it back, and the next can have it",
)
def session_ends(subject: Subject) -> None:
    subject.create_table()
    if subject.leases:
        return _given_back(subject)
    return _session_ends(subject)


def _given_back(subject: Subject) -> None:
    def use() -> None:
        wrapper = subject.wrapper()
        wrapper.connect()
        wrapper.close()

    require_each_comes_back(subject, use)


def _session_ends(subject: Subject) -> None:
    wrapper = subject.wrapper()
    view, connection = wrapper.backend, wrapper.connection
    wrapper.close()
    subject.require(not wrapper.is_open, "after close() the wrapper says that it is open")
    _require_ended(subject, view, connection, "after close()")


@requirement(
    "CLOSE-002",
    "After closing, the server counts one session less",
    reason="a connection that refuses statements can still hold its session",
    source="PEP 249, Connection.close",
    level=1,
    after=("CLOSE-001",),
    blame=("close_connection",),
    advice="close the socket or file too, and every further connection that was opened for this one",
    leased="no more than were leased at once",
)
def session_count(subject: Subject) -> None:
    subject.create_table()
    before = 0 if settles(lambda: subject.sessions() == 0, 0.5) else subject.sessions()
    wrappers = [subject.wrapper(f"alias{number}") for number in range(3)]
    for wrapper in wrappers:
        wrapper.connect()
    for wrapper in wrappers:
        wrapper.close()
    most = before
    if subject.leases:
        most += len(wrappers)  # what it keeps, the next round takes up again
        for wrapper in wrappers:
            wrapper.connect()
            wrapper.close()
    if not settles(lambda: subject.sessions() <= most):
        left = subject.sessions() - most
        subject.fail(f"after 3 connections were opened and closed {left} session(s) are left")


@requirement(
    "CLOSE-003",
    "Closing twice, or what was never open, does nothing",
    reason="the end of a request closes what an error may have closed before",
    source="the contract, section 3: close is idempotent",
    level=1,
    after=("LIFE-001",),
    blame=("close_connection",),
    advice="close_connection is called once for each connection; it needs no state of its own",
)
def idempotent(subject: Subject) -> None:
    recording = RecordingBackend(subject.backend())
    wrapper = DatabaseWrapper(recording)
    for when in ("never opened", "open", "closed already"):
        if when == "open":
            wrapper.connect()
        error = caught(wrapper.close)
        subject.require(error is None, f"close() of a connection {when} raised {type(error).__name__}: {error}")
    subject.require(len(recording.closed) == 1, f"one connection was closed {len(recording.closed)} times")


@requirement(
    "CLOSE-004",
    "Closing commits nothing: work of an open transaction is undone",
    reason="a request that died halfway must not leave half of its work",
    source="PEP 249, Connection.close: an implicit rollback",
    level=1,
    after=("CLOSE-001", "TX-001"),
    blame=("close_connection",),
    advice="do not commit in close_connection",
)
def close_commits_nothing(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    view = subject.view()
    connection = open_raw(view)
    view.begin(connection)
    view.execute_statement(connection, f"INSERT INTO {subject.TABLE} (id, note) VALUES (1, 'row')")
    caught(lambda: view.close_connection(connection))
    subject.require(subject.count_rows() == 0, "what a transaction had written was committed by closing")


@requirement(
    "CLOSE-005",
    "Closing inside an atomic block breaks the block: nothing of it is kept, and nothing runs outside of it",
    reason="the statements after the close would be committed one by one, in a session of their own",
    source="the contract, section 3: close",
    level=1,
    after=("CLOSE-001", "TX-001"),
    blame=("close_connection",),
    advice="do not commit in close_connection, and keep the connection nowhere",
)
def close_in_atomic(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    refusals: list[BaseException | None] = []

    def block() -> None:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            caught(wrapper.close)
            refusals.append(caught(lambda: subject.insert(wrapper, 2)))

    refusals.append(caught(block))
    for refusal, where in zip(refusals, ("a statement after the close", "the end of the block"), strict=True):
        right = isinstance(refusal, errors.TransactionManagementError)
        subject.require(right, f"{where} gave {refusal!r} instead of a TransactionManagementError")
    subject.require(subject.count_rows() == 0, f"{subject.count_rows()} row(s) of the block were kept")
    subject.insert(wrapper, 3)
    wrapper.close()
    subject.require(subject.count_rows() == 1, "after the block the wrapper did not work again")


@requirement(
    "CLOSE-006",
    "A cursor of a closed connection is refused, by one of our errors",
    reason="it would run in a session that is over, or in somebody else's",
    source="PEP 249, Connection.close: the connection and its cursors are unusable",
    level=1,
    after=("LIFE-001",),
    blame=("_cursor",),
    advice="in a cursor class put CheckedCursor first among the bases and override none of its methods",
)
def held_cursor(subject: Subject) -> None:
    sql = f"SELECT count(*) FROM {subject.create_table()}"
    wrapper = subject.wrapper()
    cursor: Any = wrapper.cursor()
    cursor.execute(sql)
    wrapper.close()
    uses = {"execute": lambda: cursor.execute(sql), "fetchone": cursor.fetchone, "iteration": lambda: list(cursor)}
    for step, use in uses.items():
        error = caught(use)
        subject.require(
            isinstance(error, errors.ConnectionClosedError),
            f"{step} on a cursor of a closed connection gave {error!r} instead of a ConnectionClosedError",
        )
    caught(cursor.close)


@requirement(
    "CLOSE-007",
    "A close that the driver fails leaves no dead connection in place",
    reason="every later use of the alias would meet it again",
    source="the contract, section 3: close",
    level=1,
    after=("ERR-009",),
    blame=("close_connection", "get_new_connection"),
    advice="open a new connection at each get_new_connection; close_connection may raise, but keeps nothing",
)
def failing_close(subject: Subject) -> None:
    table = subject.create_table()
    wrapper = subject.wrapper()
    dead = wrapper.connection
    break_connection(dead)
    error = caught(wrapper.close)
    ours = error is None or isinstance(error, Error)
    subject.require(ours, f"closing a dead connection raised {type(error).__name__}: {error}", blame="close_connection")
    subject.require(not wrapper.is_open, "after a close that failed the wrapper says that it is open")
    subject.require(wrapper.connection is not dead, "the dead connection was opened again", blame="get_new_connection")
    error = caught(lambda: subject.execute(wrapper, f"SELECT count(*) FROM {table}"))
    subject.require(error is None, f"after it the wrapper does not work: {error}")
    wrapper.close()


@requirement(
    "CLOSE-008",
    "A connection can be closed by a thread that did not open it",
    reason="a finalizer runs in whichever thread drops the last reference; a pool tends idle connections in its own",
    source="the contract: SupportsClose, also by a finalizer in any thread",
    level=1,
    after=("CLOSE-001",),
    blame=("close_connection", "get_connection_params", "get_new_connection"),
    advice="switch the driver's own thread check off (sqlite3: check_same_thread=False); the wrapper checks its owner",
    leased="it comes back as if its own thread had closed it",
)
def close_from_any_thread(subject: Subject) -> None:
    subject.create_table()
    view = subject.view()
    if subject.leases:
        return require_each_comes_back(subject, lambda: _close_elsewhere(view))
    return _closed_elsewhere(subject, view)


def _close_elsewhere(view: AnyBackend) -> None:
    connection = open_raw(view)
    in_thread(lambda: view.close_connection(connection))


def _closed_elsewhere(subject: Subject, view: AnyBackend) -> None:
    connection = open_raw(view)
    error = in_thread(lambda: caught(lambda: view.close_connection(connection)))
    subject.require(error is None, f"closing in another thread raised {type(error).__name__}: {error}")
    _require_ended(subject, view, connection, "after a close in another thread")


@requirement(
    "CLOSE-009",
    "A connection with an unread result and an open cursor can be closed",
    reason="whoever stops reading early, or drops a cursor, has done nothing wrong",
    source="PEP 249, Connection.close",
    level=1,
    after=("CLOSE-001",),
    blame=("close_connection",),
    advice="close_connection ends the session whatever its cursors do",
    leased="it comes back, and the next can have it",
)
def close_with_cursors(subject: Subject) -> None:
    table = subject.create_table()
    wrapper = subject.wrapper()
    for number in range(1, 4):
        subject.insert(wrapper, number)
    if subject.leases:
        return require_each_comes_back(subject, lambda: _close_half_read(wrapper, table))
    return _closed_half_read(subject, wrapper, table)


def _close_half_read(wrapper: AnyWrapper, table: str) -> None:
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT id FROM {table}")
    cursor.fetchone()
    wrapper.close()
    caught(cursor.close)


def _closed_half_read(subject: Subject, wrapper: AnyWrapper, table: str) -> None:
    view, connection = wrapper.backend, wrapper.connection
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT id FROM {table}")
    cursor.fetchone()
    error = caught(wrapper.close)
    subject.require(error is None, f"with a result half read close() raised {type(error).__name__}: {error}")
    _require_ended(subject, view, connection, "after a close with a result half read")
    caught(cursor.close)


@requirement(
    "CLOSE-010",
    "Closing a connection does not close others",
    reason="one alias's end is not the other's",
    source="the contract, section 1: at most one connection for each wrapper",
    level=1,
    after=("CLOSE-001",),
    blame=("close_connection",),
    advice="close the connection that is passed, and no other",
)
def closes_its_own(subject: Subject) -> None:
    table, backend = subject.create_table(), subject.backend()
    first, second = DatabaseWrapper(backend, "first"), DatabaseWrapper(backend, "second")
    first.connect()
    second.connect()
    first.close()
    error = caught(lambda: subject.execute(second, f"SELECT count(*) FROM {table}"))
    subject.require(error is None, f"after another one was closed a connection refused its statement: {error}")
    second.close()


@requirement(
    "CLOSE-011",
    "A `with` block over a cursor whose connection is lost ends by nothing but our errors",
    reason="the end of the block closes the cursor: a driver's error there hides the one that tells what happened",
    source="PEP 249, Cursor.close; the contract, section 2: errors",
    level=1,
    after=("ERR-002",),
    blame=("_cursor",),
    advice="in a cursor class put CheckedCursor first among the bases and override neither close() nor __exit__()",
)
def lost_in_block(subject: Subject) -> None:
    sql = f"SELECT count(*) FROM {subject.create_table()}"
    for lost_before_the_end in (False, True):
        wrapper = subject.wrapper()
        error = caught(lambda used=wrapper, again=lost_before_the_end: _lose(used, sql, again=again))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
        caught(wrapper.close)
        subject.require(
            error is None or isinstance(error, Error),
            f"the block ended by {type(error).__module__}.{type(error).__qualname__}, none of ours: {error}",
        )


def _lose(wrapper: AnyWrapper, sql: str, *, again: bool) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        break_connection(wrapper.connection)
        if again:
            cursor.execute(sql)


@requirement(
    "CLOSE-013",
    "After closing, a cursor that is still held half read blocks nobody",
    reason="a traceback or a variable keeps the cursor: SQLite keeps its lock as long, past the connection's close",
    source='SQLite\'s C interface, "sqlite3_close_v2": zombie connections',
    level=1,
    keyword="SHOULD",
    after=("CLOSE-009",),
    blame=("close_connection",),
    advice="in close_connection end the statements that are under way before closing",
)
def half_read_blocks_nobody(subject: Subject) -> None:
    table = subject.create_table()
    wrapper = subject.wrapper()
    for number in range(1, 4):
        subject.insert(wrapper, number)
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT id FROM {table}")
    cursor.fetchone()
    wrapper.close()
    other = subject.wrapper("other", **_impatient(subject))
    error = caught(lambda: subject.insert(other, 4))
    other.close()
    subject.require(error is None, f"while the cursor is held another session cannot write: {error}")
    caught(cursor.close)


def _impatient(subject: Subject) -> dict[str, Any]:
    """A short OPTIONS timeout, where there is such an option: what waits for a lock is not to wait long."""
    options = {**subject.mapping.get("OPTIONS", {}), "timeout": 0.1}
    return {"OPTIONS": options} if accepted(subject, OPTIONS=options) is not None else {}


untested(
    "CLOSE-012",
    "Closing does not wait for a server that does not answer",
    reason="the end of a request would hang as long as the network is gone",
    source="the contract, section 3: close",
    why="the kit cannot cut a driver's network without a proxy for its protocol",
    keyword="SHOULD",
)
