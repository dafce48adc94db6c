"""Wrong under an event loop, and in copied contexts."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextvars import ContextVar
from typing import Any

from typing_extensions import override

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant


@mutant("ASYNC-001", says="under a running event loop these were allowed: connect, cursor, commit")
class AllowsBlocking(BaselineBackend):
    """It switches allow_blocking on, whatever the settings say."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings.derive(allow_blocking=True))


class _ByThread(BaselineCursor):
    """Checks threads by itself, and knows of no tasks."""

    _maker: int

    @override
    def execute(self, *args: Any) -> Any:
        return sqlite3.Cursor.execute(self, *args) if self._is_makers() else super().execute(*args)

    def _is_makers(self) -> bool:
        return self._maker == threading.get_ident()


class _TrustsWorkers(_ByThread):
    @override
    def _is_makers(self) -> bool:
        return threading.current_thread().name.startswith("asyncio") or super()._is_makers()


def _marked(cursor: _ByThread) -> BaselineCursor:
    cursor._maker = threading.get_ident()
    return cursor


@mutant("ASYNC-002", says="another task was allowed: execute")
class TasksAreThreads(BaselineBackend):
    """Its cursors tell threads apart by themselves, and take all tasks of one thread for one."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _marked(_ByThread(connection))


@mutant("ASYNC-003", says="asyncio.to_thread was allowed, on the task's wrapper: execute")
class WorkersAreTrusted(BaselineBackend):
    """Its cursors trust the threads of asyncio's executor."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _marked(_TrustsWorkers(connection))


@mutant("ASYNC-003", says="a wrapper of its own raised ValueError")
class UsesSignals(BaselineBackend):
    """get_new_connection sets a signal handler, which only the main thread can."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
        try:
            return super().get_new_connection(params)
        finally:
            signal.signal(signal.SIGALRM, before)


@mutant("ASYNC-004", says="a task was allowed, on a wrapper older than its loop: execute")
class LoopIsItsThread(TasksAreThreads):
    """Its cursors take the tasks of a loop for the thread that it runs in."""


_current: ContextVar[sqlite3.Connection | None] = ContextVar("conformance_current", default=None)


@mutant("ASYNC-005", says="got the connection of the thread that the context was copied from")
class KeepsInContext(BaselineBackend):
    """get_new_connection keeps the connection in a ContextVar and returns it in every copy of the context."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = _current.get()
        if connection is None:
            connection = super().get_new_connection(params)
            _current.set(connection)
        return connection
