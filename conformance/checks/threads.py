"""Threads: who may use a wrapper, what sharing allows, and that the backend itself is anybody's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from backend_sdk import DatabaseWrapper, Error, SupportsThreadSafety, SupportsTransactions

from ..probes import CountingBackend, allowed_here, at_once, in_thread, of_lasting_threads, open_raw, opened, settles
from ..register import requirement, untested
from ..verdict import CouldNotRun

if TYPE_CHECKING:
    from ..subject import AnyWrapper, Subject

    Calls = dict[str, Callable[[], object]]

_OWNERS = 8
"""How many owners end in turn: a thread of the backend's own may take the ident of one and keep it."""

_HEIRS = 32
"""How many threads live at once after each."""


def _not_refused(calls: Calls) -> list[str]:
    """Which of *calls* another thread may make."""
    return in_thread(lambda: allowed_here(calls))


def _enter_atomic(wrapper: AnyWrapper) -> None:
    with wrapper.atomic():
        pass


def _operations(wrapper: AnyWrapper) -> Calls:
    return {
        "connect": wrapper.connect,
        "cursor": wrapper.cursor,
        "connection": lambda: wrapper.connection,
        "is_usable": wrapper.is_usable,
        "atomic": lambda: _enter_atomic(wrapper),
        "set_autocommit": lambda: wrapper.set_autocommit(True),
        "savepoint": wrapper.savepoint,
        "on_commit": lambda: wrapper.on_commit(lambda: None),
        "commit": wrapper.commit,
        "rollback": wrapper.rollback,
        "inc_thread_sharing": wrapper.inc_thread_sharing,
        "close_if_unusable_or_obsolete": wrapper.close_if_unusable_or_obsolete,
        "close": wrapper.close,
    }


@requirement(
    "THR-001",
    "Every operation of a thread that does not own the wrapper is refused",
    reason="two threads in one connection mix their transactions and answers",
    source="Django ticket 17258",
    level=2,
    after=("LIFE-001",),
    blame=("__init__", "settings"),
    advice="leave ownership to the wrapper; share on purpose, with wrapper.shared()",
)
def foreign_operations(subject: Subject) -> None:
    wrapper = subject.wrapper()
    wrapper.connect()
    allowed = _not_refused(_operations(wrapper))
    subject.require(not allowed, f"another thread was allowed: {', '.join(allowed)}")
    subject.require(wrapper.is_open, "a refused close() has closed the connection")
    wrapper.close()


@requirement(
    "THR-002",
    "A refused call has opened nothing",
    reason="a connection that nobody owns is never closed",
    source="Django ticket 17258; the contract, section 3: ownership before action",
    level=2,
    after=("THR-001",),
    blame=("__init__", "threadsafety", "get_new_connection"),
    advice="open connections in get_new_connection alone",
)
def refusal_opens_nothing(subject: Subject) -> None:
    counts = callable(getattr(subject.target.support, "sessions", None))
    before = subject.sessions() if counts else 0
    counting = CountingBackend(subject.backend())
    wrapper = DatabaseWrapper(counting)
    _not_refused(_operations(wrapper))
    subject.require(not wrapper.is_open and not counting.opens, f"refused calls opened {counting.opens} connection(s)")
    if counts:
        subject.require(
            settles(lambda: subject.sessions() <= before),
            f"after refused calls alone there are {subject.sessions() - before} more session(s) than before",
        )


@requirement(
    "THR-003",
    "A cursor held by another thread is refused: execute, fetches and iteration",
    reason="a cursor is the connection in other clothes",
    source="Django ticket 17258",
    level=2,
    after=("LIFE-001",),
    blame=("_cursor",),
    advice="lay CheckedCursor over the driver's cursor class, first among the bases, and override none of its methods",
)
def foreign_cursor(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    wrapper = subject.wrapper()
    cursor: Any = wrapper.cursor()
    cursor.execute(query)
    calls: Calls = {
        "fetchone": cursor.fetchone,
        "fetchmany": lambda: cursor.fetchmany(1),
        "fetchall": cursor.fetchall,
        "next": lambda: next(cursor),
        "iteration": lambda: list(cursor),
        "execute": lambda: cursor.execute(query),
        "executemany": lambda: cursor.executemany(f"DELETE FROM {subject.TABLE}", [()]),
    }
    allowed = _not_refused(calls)
    subject.require(not allowed, f"another thread was allowed: {', '.join(allowed)}")
    row = cursor.fetchone()
    subject.require(row is not None, "refused calls of another thread have eaten the owner's rows")
    cursor.close()
    wrapper.close()


@requirement(
    "THR-004",
    "While it is shared another thread may use the wrapper, though not open blocks in it, and afterwards no more",
    reason="sharing is counted and revocable, for test servers and worker pools",
    source="Django ticket 17258: inc_thread_sharing()",
    level=2,
    after=("THR-003",),
    blame=("get_new_connection", "_cursor"),
    advice="switch the driver's own thread check off (sqlite3: check_same_thread=False); the wrapper checks its owner",
)
def sharing(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    wrapper = subject.wrapper()
    held: list[Any] = []

    def use() -> None:
        cursor: Any = wrapper.cursor()
        held.append(cursor)
        cursor.execute(query)
        cursor.fetchall()

    wrapper.connect()
    with wrapper.shared():
        try:
            in_thread(use)
        except Error as error:
            subject.fail(f"while shared, another thread got {type(error).__name__}: {error}")
        if subject.has(SupportsTransactions):
            allowed = _not_refused({"atomic": lambda: _enter_atomic(wrapper)})
            subject.require(not allowed, "while shared, another thread was allowed to open an atomic block")
    allowed = _not_refused({"cursor": wrapper.cursor, "execute": lambda: held[0].execute(query)})
    subject.require(not allowed, f"after sharing had ended another thread was allowed: {', '.join(allowed)}")
    wrapper.close()


@requirement(
    "THR-005",
    "A thread that begins after the owner has ended does not inherit the wrapper",
    reason="thread idents are used again, so a new thread may have the owner's",
    source='Python\'s documentation, "threading.get_ident"',
    level=2,
    after=("THR-003",),
    blame=("_cursor",),
    advice="do not compare thread idents; leave ownership to the wrapper",
)
def no_inheritance(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"

    def make() -> tuple[AnyWrapper, Any, int]:
        wrapper = subject.wrapper()
        cursor: Any = wrapper.cursor()
        cursor.execute(query)
        cursor.fetchall()
        return wrapper, cursor, threading.get_ident()

    for _ in range(_OWNERS):
        wrapper, cursor, owner = in_thread(make)
        calls: Calls = {"cursor": wrapper.cursor, "execute": partial(cursor.execute, query)}
        with closing(of_lasting_threads(_HEIRS, partial(_with_ident, calls))) as heirs:
            for allowed, ident in heirs:
                names = ", ".join(allowed)
                subject.require(not allowed, f"a thread with the ident of the ended owner was allowed: {names}")
                if ident == owner:
                    return
    raise CouldNotRun(f"the system gave the ident of none of {_OWNERS} ended threads to one of {_HEIRS} others")


def _with_ident(calls: Calls) -> tuple[list[str], int]:
    return allowed_here(calls), threading.get_ident()


@requirement(
    "THR-006",
    "One backend serves many threads at once, each with its own connection",
    reason="a backend is shared by all threads; what it keeps, they overwrite",
    source="the contract, section 1: the backend",
    level=2,
    after=("LIFE-009",),
    blame=("get_new_connection", "get_connection_params", "init_connection_state", "_cursor"),
    advice="keep nothing on the backend or its class between calls; use local variables",
)
def many_threads(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    view = subject.view()
    connections: list[Any] = []

    def work(_number: int) -> None:
        connection = open_raw(view)
        connections.append(connection)
        for _ in range(3):
            view.execute_statement(connection, query)

    try:
        at_once(6, work)
    except Exception as error:
        if not isinstance(error, (*view.errors_for(error).caught, TypeError, AttributeError)):
            raise
        subject.fail(f"with 6 threads at once one got {type(error).__name__}: {error}")
    finally:
        distinct = {id(connection): connection for connection in connections}
        for connection in distinct.values():
            view.close_connection(connection)
    subject.require(len(distinct) == 6, f"6 threads that opened at once got {len(distinct)} different connections")


@requirement(
    "THR-007",
    "Threads that share a wrapper each get the answer to their own statement, whatever thread safety is declared",
    reason="a driver of level 1 that is declared 2 or 3 corrupts its protocol; below 2 the SDK lets calls take turns",
    source="PEP 249, threadsafety",
    level=2,
    after=("THR-004",),
    blame=("threadsafety", "_cursor"),
    advice="declare what the driver's manual says: 2 or 3 only where threads may use one connection at the same time",
)
def shared_answers(subject: Subject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.connect()

    def ask(number: int) -> list[int]:
        wrong: list[int] = []
        for turn in range(10):
            wanted = number * 100 + turn
            cursor: Any = wrapper.cursor()
            cursor.execute(f"SELECT {wanted}")
            answer = int(cursor.fetchone()[0])
            if answer != wanted:
                wrong.append(answer)
            cursor.close()
        return wrong

    try:
        with wrapper.shared():
            wrong = [answer for answers in at_once(4, ask) for answer in answers]
    except (Error, TypeError) as error:  # an answer that is missing is not subscriptable
        subject.fail(f"with 4 threads sharing, one got {type(error).__name__}: {error}")
    subject.require(not wrong, f"of 40 answers to 4 threads that share {len(wrong)} were another thread's")
    wrapper.close()


@requirement(
    "THR-008",
    "A connection is closed by whichever thread drops its wrapper last",
    reason="a wrapper's last reference may be dropped anywhere, for one by a thread pool that ends",
    source='sqlite3 module\'s documentation, "check_same_thread"; Django ticket 17258',
    level=2,
    after=("LIFE-001",),
    blame=("close_connection", "get_new_connection"),
    advice="switch the driver's own thread check off; let close_connection work in any thread",
)
def closed_by_another(subject: Subject) -> None:
    counting = CountingBackend(subject.backend())

    def make() -> AnyWrapper:
        made: AnyWrapper = DatabaseWrapper(counting)
        made.connect()
        return made

    wrapper = in_thread(make)
    del wrapper
    subject.require(counting.closes == 1, "dropping the wrapper in another thread has not closed its connection")
    errors = "; ".join(counting.close_errors)
    subject.require(not errors, f"closing in another thread raised {errors}")


@requirement(
    "THR-009",
    "A declared thread safety is a level of PEP 249",
    reason="from 2 on the SDK lets threads into the driver at the same time",
    source="PEP 249, threadsafety",
    level=2,
    after=("LIFE-001",),
    blame=("threadsafety",),
    advice="return 0, 1, 2 or 3, as the driver's module says",
)
def level_is_known(subject: Subject) -> None:
    subject.needs(SupportsThreadSafety)
    view = subject.view()
    level: object = view.threadsafety
    subject.require(level in {0, 1, 2, 3} and not isinstance(level, bool), f"it is {level!r}")
    with opened(view) as connection:
        declared = _driver_level(connection)
    if declared is None:
        return
    subject.require(
        isinstance(level, int) and level <= declared, f"it is {level!r}, and the driver's module says {declared}"
    )


def _driver_level(connection: object) -> int | None:
    """``threadsafety`` of the module that made *connection*, if it says."""
    import sys

    for cls in type(connection).__mro__:
        package = cls.__module__.partition(".")[0]
        module = sys.modules.get("sqlite3" if package == "_sqlite3" else package)
        level = getattr(module, "threadsafety", None)
        if isinstance(level, int):
            return level
    return None


untested(
    "THR-010",
    "A driver that is safe to share is declared so",
    reason="what is not declared takes turns, which costs speed and nothing else",
    source="PEP 249, threadsafety",
    why="that nothing went wrong in a test does not prove that it cannot",
    level=2,
    keyword="SHOULD",
)
