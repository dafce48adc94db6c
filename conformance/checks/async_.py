"""Async and contexts: an event loop is never blocked unasked, and tasks are told apart as threads are."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backend_sdk import BlockingCallError, DatabaseWrapper, Error, ThreadSharingError, allow_blocking

from ..probes import CountingBackend, allowed_here, in_thread
from ..register import requirement, untested

if TYPE_CHECKING:
    from ..subject import AnyWrapper, Subject


def _calls(wrapper: AnyWrapper, cursor: Any, query: str) -> dict[str, Callable[[], object]]:
    return {
        "cursor": wrapper.cursor,
        "connection": lambda: wrapper.connection,
        "execute": lambda: cursor.execute(query),
        "fetchone": cursor.fetchone,
        "commit": wrapper.commit,
    }


def _made(subject: Subject, query: str) -> tuple[AnyWrapper, Any]:
    """A wrapper of the caller's, and a cursor of it that holds rows."""
    wrapper = subject.wrapper()
    cursor: Any = wrapper.cursor()
    cursor.execute(query)
    return wrapper, cursor


@requirement(
    "ASYNC-001",
    "Under a running event loop a blocking call is refused before anything is opened",
    reason="one slow query would stop every request of the process",
    source="Django's async_unsafe(); the contract, section 3: ownership before action",
    level=3,
    after=("LIFE-001",),
    blame=("__init__", "settings", "_cursor"),
    advice="keep the settings as they are given; let the caller permit it, with allow_blocking()",
)
def blocking_is_refused(subject: Subject) -> None:
    subject.create_table()
    counting = CountingBackend(subject.backend(ALLOW_BLOCKING=False))

    async def use() -> list[str]:
        wrapper: AnyWrapper = DatabaseWrapper(counting)
        allowed: list[str] = []
        for name, call in (("connect", wrapper.connect), ("cursor", wrapper.cursor), ("commit", wrapper.commit)):
            try:
                call()
            except BlockingCallError:
                continue
            allowed.append(name)
        return allowed

    allowed = asyncio.run(use())
    subject.require(not allowed, f"under a running event loop these were allowed: {', '.join(allowed)}")
    subject.require(not counting.opens, f"refused calls opened {counting.opens} connection(s)")


@requirement(
    "ASYNC-002",
    "Where blocking is allowed, a wrapper belongs to the task that made it, and to no other task of its thread",
    reason="tasks of one thread take turns in the middle of a transaction",
    source="the contract, section 3: ownership before action",
    level=3,
    after=("THR-003",),
    blame=("_cursor",),
    advice="lay CheckedCursor over the driver's cursor class, first among the bases, and override none of its methods",
)
def owned_by_task(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"

    async def other(calls: dict[str, Callable[[], object]]) -> list[str]:
        return allowed_here(calls)

    async def use() -> list[str]:
        with allow_blocking():
            wrapper, cursor = _made(subject, query)
            allowed = await asyncio.create_task(other(_calls(wrapper, cursor, query)))
            subject.require(cursor.fetchone() is not None, "the owning task's rows are gone")
            wrapper.close()
        return allowed

    allowed = asyncio.run(use())
    subject.require(not allowed, f"another task was allowed: {', '.join(allowed)}")


@requirement(
    "ASYNC-003",
    "asyncio.to_thread is refused the task's wrapper, and can use one of its own",
    reason="it is the way to call blocking code from a task",
    source='Python\'s documentation, "asyncio.to_thread"',
    level=3,
    after=("THR-003",),
    blame=("get_new_connection", "_cursor"),
    advice="open connections in whatever thread calls; use nothing that works in the main thread alone (signals)",
)
def worker_threads(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"

    def own() -> str:
        try:
            wrapper, cursor = _made(subject, query)
            cursor.fetchone()
            wrapper.close()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    async def use() -> tuple[list[str], str]:
        with allow_blocking():
            wrapper, cursor = _made(subject, query)
            allowed = await asyncio.to_thread(allowed_here, _calls(wrapper, cursor, query))
            wrapper.close()
        return allowed, await asyncio.to_thread(own)

    allowed, failure = asyncio.run(use())
    subject.require(not allowed, f"asyncio.to_thread was allowed, on the task's wrapper: {', '.join(allowed)}")
    subject.require(
        not failure, f"in asyncio.to_thread a wrapper of its own raised {failure}", blame="get_new_connection"
    )


@requirement(
    "ASYNC-004",
    "A wrapper that was made before the event loop started does not belong to its tasks",
    reason="all tasks would share it, since they run in its thread",
    source="the contract, section 3: ownership before action",
    level=3,
    after=("THR-003",),
    blame=("_cursor",),
    advice="lay CheckedCursor over the driver's cursor class, first among the bases, and override none of its methods",
)
def made_before_the_loop(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    wrapper, cursor = _made(subject, query)

    async def use() -> list[str]:
        with allow_blocking():
            return allowed_here(_calls(wrapper, cursor, query))

    allowed = asyncio.run(use())
    subject.require(not allowed, f"a task was allowed, on a wrapper older than its loop: {', '.join(allowed)}")
    subject.require(cursor.fetchone() is not None, "after the loop the owner's rows are gone")
    wrapper.close()


@requirement(
    "ASYNC-005",
    "A copied context hands no wrapper and no connection to another thread",
    reason="asyncio.to_thread and web frameworks copy contexts into worker threads",
    source="PEP 567",
    level=3,
    after=("LIFE-009",),
    blame=("get_new_connection",),
    advice="keep no connection in a ContextVar",
)
def copied_context(subject: Subject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    connection = wrapper.connection
    context = contextvars.copy_context()

    def use() -> str:
        try:
            wrapper.cursor()
        except ThreadSharingError:
            pass
        else:
            return "was allowed the wrapper of the thread that the context was copied from"
        own = subject.wrapper()
        same = own.connection is connection
        try:
            own.close()
        except Error:
            pass
        return "got the connection of the thread that the context was copied from" if same else ""

    said = in_thread(lambda: context.run(use))
    subject.require(not said, f"another thread, in a copied context, {said}")
    subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
    wrapper.close()


untested(
    "ASYNC-006",
    "What a backend calls blocks no event loop for long by itself",
    reason="allow_blocking() is given for short statements",
    source="the contract, section 3: ownership before action",
    why="how long a call takes is the server's affair",
    level=3,
    keyword="SHOULD",
)
