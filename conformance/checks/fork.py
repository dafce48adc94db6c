"""Fork: what a child inherits, it neither uses nor frees."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backend_sdk import Error, SupportsTransactions

from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import AnyWrapper, Subject

GOOD = "as it should be"


def in_child(function: Callable[[], str]) -> str:
    """What *function* returns, or how it fails, in a forked child, which then ends as a program does."""
    if not hasattr(os, "fork"):
        raise NotApplicable("nothing forks on this system")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "ended early"
        try:
            os.close(reading)
            said = function()
            atexit._run_exitfuncs()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def _require_parent_works(subject: Subject, wrapper: AnyWrapper, connection: Any, when: str) -> None:
    try:
        subject.insert(wrapper, 1)
    except Error as error:
        subject.fail(f"{when} the parent's session is lost: {error}")
    subject.require(wrapper.connection is connection, f"{when} the parent has another connection")
    subject.require(subject.count_rows() == 1, f"{when} the parent's session does not commit")


@requirement(
    "FORK-001",
    "A forked child opens a connection of its own, and the parent's session goes on",
    reason="two processes in one session mix their answers",
    source='PostgreSQL manual, libpq, "Connection control"; SQLite manual, "How to corrupt a database file"',
    level=2,
    after=("LIFE-009", "FORK-002"),
    blame=("get_new_connection",),
    advice="open a new connection at each call; keep none, in no process",
)
def child_opens_its_own(subject: Subject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    connection = wrapper.connection

    def child() -> str:
        subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
        return "used the parent's connection" if wrapper.connection is connection else GOOD

    said = in_child(child)
    subject.require(said == GOOD, f"the child {said}")
    _require_parent_works(subject, wrapper, connection, "after a child that opened its own connection")
    wrapper.close()


@requirement(
    "FORK-002",
    "What a child frees, and its end, leave the parent's session alone",
    reason="a MySQL child's close ends the parent's session; a SQLite child's removes the parent's hot journal",
    source="the contract, section 3: fork",
    level=2,
    after=("LIFE-001",),
    blame=("get_new_connection", "configure_connection", "close_connection"),
    advice="close nothing by atexit, weakref.finalize or __del__; the SDK's handle knows its process",
)
def child_frees_nothing(subject: Subject) -> None:
    subject.create_table()
    held = [subject.wrapper()]
    connection = [held[0].connection]
    cursor: list[Any] = [held[0].cursor()]

    def child() -> str:
        for references in (cursor, connection, held):
            references.clear()
        gc.collect()
        return GOOD

    said = in_child(child)
    subject.require(said == GOOD, f"in the child, dropping all it had inherited raised {said}")
    _require_parent_works(
        subject, held[0], connection[0], "after the end of a child that dropped what it had inherited"
    )
    cursor[0].close()
    held[0].close()


@requirement(
    "FORK-003",
    "A cursor that a child has inherited is refused there",
    reason="its statement would run in the parent's session, and its answer go to either",
    source="the contract, section 3: fork",
    level=2,
    after=("FORK-002",),
    blame=("_cursor",),
    advice="lay CheckedCursor over the driver's cursor class, first among the bases, and override none of its methods",
)
def inherited_cursor(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    wrapper = subject.wrapper()
    connection = wrapper.connection
    cursor: Any = wrapper.cursor()

    def child() -> str:
        try:
            cursor.execute(query)
        except Error:
            return GOOD
        return "was allowed to execute on a cursor of the parent's"

    said = in_child(child)
    subject.require(said == GOOD, f"the child {said}")
    cursor.close()
    _require_parent_works(subject, wrapper, connection, "after a child that tried an inherited cursor")
    wrapper.close()


@requirement(
    "FORK-004",
    "A block that is open at the fork is the parent's alone: the child sends nothing, and the parent commits",
    reason="a child that ends the inherited transaction takes the parent's work with it",
    source="the contract, section 3: fork",
    level=2,
    after=("TX-001", "FORK-002"),
    blame=("get_new_connection", "rollback", "_cursor"),
    advice="end no transaction in a child: no os.register_at_fork that touches a connection",
)
def inherited_block(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    held = [subject.wrapper()]

    def child() -> str:
        try:
            subject.insert(held[0], 9)
        except Error:
            pass
        else:
            return "was allowed a statement in the parent's block"
        held.clear()
        gc.collect()
        return GOOD

    try:
        with held[0].atomic():
            subject.insert(held[0], 1)
            said = in_child(child)
            subject.require(said == GOOD, f"the child {said}")
            subject.insert(held[0], 2)
    except Error as error:
        subject.fail(f"after the child's end the parent's block failed: {error}")
    kept = subject.count_rows()
    subject.require(kept == 2, f"of the 2 rows of the parent's block {kept} are there")
    held[0].close()


untested(
    "FORK-005",
    "A child that is killed, or ends by os._exit, leaves the parent's session alone",
    reason="workers are killed when memory runs out",
    source="the contract, section 3: fork",
    why="what the system does with the descriptors of a process that is gone is not the backend's doing",
    level=2,
)
