"""Wrong among threads."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import DatabaseWrapper

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant
from .cursors import WithBypassingCursor


@mutant("THR-001", says="another thread was allowed: connect, cursor")
class SharesAll(BaselineBackend):
    """Patches the SDK so that every wrapper is shared from the start."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        initialize = DatabaseWrapper.__init__

        def patched(wrapper: Any, *args: Any, **options: Any) -> None:
            initialize(wrapper, *args, **options)
            wrapper.inc_thread_sharing()

        DatabaseWrapper.__init__ = patched  # type: ignore[assignment, method-assign]  # the defect


@mutant("THR-002", says="after refused calls alone there are 1 more session(s)")
class OpensToAsk(BaselineBackend):
    """It opens a connection to find out the thread safety, and leaves it."""

    _kept: ClassVar[list[sqlite3.Connection]] = []

    @property
    @override
    def threadsafety(self) -> int:
        connection = self.get_new_connection(self.get_connection_params())
        connection.execute("PRAGMA schema_version").close()
        self._kept.append(connection)
        return sqlite3.threadsafety


@mutant("THR-003", says="another thread was allowed: fetchone, fetchmany, fetchall, next, iteration, execute")
class CursorsForAll(WithBypassingCursor):
    """Its cursors do not ask who calls."""


class _UncheckedFetch(BaselineCursor):
    __slots__ = ()

    @override
    def fetchmany(self, size: int | None = 1) -> Any:
        return sqlite3.Cursor.fetchmany(self, size)


@mutant("THR-003", says="another thread was allowed: fetchmany")
class OneFetchUnchecked(BaselineBackend):
    """One of the cursor's methods is overridden by the driver's own."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _UncheckedFetch(connection)


class _UncheckedRows(BaselineCursor):
    __slots__ = ()

    @override
    def __iter__(self) -> Any:
        return iter(sqlite3.Cursor.fetchall(self))


@mutant("THR-003", says="another thread was allowed: iteration")
class IterationUnchecked(BaselineBackend):
    """Iteration over a cursor goes round the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _UncheckedRows(connection)


@mutant("THR-004", says="SQLite objects created in a thread can only be used in that same thread")
class DriverChecksThread(BaselineBackend):
    """The driver's own thread check is left on."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        params["check_same_thread"] = True
        return super().get_new_connection(params)


class _RemembersFriends(BaselineCursor):
    _friends: ClassVar[set[str]] = set()

    @override
    def execute(self, *args: Any) -> Any:
        caller = threading.current_thread()
        if caller.name in self._friends:
            return sqlite3.Cursor.execute(self, *args)
        result = super().execute(*args)
        if caller is not threading.main_thread():
            self._friends.add(caller.name)
        return result


@mutant("THR-004", says="after sharing had ended another thread was allowed: execute")
class SharingIsForEver(BaselineBackend):
    """Its cursors remember whom they were once shared with."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _RemembersFriends(connection)


class _ComparesIdents(BaselineCursor):
    _maker: int

    @override
    def execute(self, *args: Any) -> Any:
        if threading.get_ident() == self._maker:
            return sqlite3.Cursor.execute(self, *args)
        return super().execute(*args)


@mutant("THR-005", says="a thread with the ident of the ended owner was allowed: execute")
class ComparesIdents(BaselineBackend):
    """Its cursors tell threads by their idents."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        cursor = _ComparesIdents(connection)
        cursor._maker = threading.get_ident()
        return cursor


@mutant("THR-006", says="6 threads that opened at once got")
class KeepsOpeningOnItself(BaselineBackend):
    """get_new_connection keeps what it opens on the backend and returns what is there."""

    _opening: sqlite3.Connection

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        self._opening = super().get_new_connection(params)
        threading.Event().wait(0.05)
        return self._opening


@mutant("THR-006", says="with 6 threads at once one got")
class KeepsCursorOnItself(BaselineBackend):
    """init_connection_state keeps its connection on the backend while it works."""

    _current: sqlite3.Connection | None = None

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        self._current = connection
        threading.Event().wait(0.05)
        found, self._current = self._current, None
        super().init_connection_state(found)  # another thread's, or None


class _OneAnswer(BaselineCursor):
    _row: ClassVar[Any] = None

    @override
    def execute(self, *args: Any) -> Any:
        super().execute(*args)
        type(self)._row = super().fetchone()
        threading.Event().wait(0.001)
        return self

    @override
    def fetchone(self) -> Any:
        super().fetchone()
        return self._row


@mutant("THR-007", says="were another thread's")
class OneAnswerForAll(BaselineBackend):
    """Its cursors keep the answer on their class."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _OneAnswer(connection)


class _OneAtATime(BaselineCursor):
    _busy: ClassVar[bool] = False

    @override
    def execute(self, *args: Any) -> Any:
        if self._busy:
            raise sqlite3.InterfaceError("packet sequence number wrong")
        type(self)._busy = True
        threading.Event().wait(0.001)
        type(self)._busy = False
        return super().execute(*args)


@mutant("THR-007", says="packet sequence number wrong")
class DeclaresTooMuch(BaselineBackend):
    """The driver breaks when two threads are in it, and thread safety 3 is declared."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _OneAtATime(connection)

    @property
    @override
    def threadsafety(self) -> int:
        return 3


@mutant("THR-008", says="closing in another thread raised ProgrammingError")
class ClosesOnlyAtHome(BaselineBackend):
    """The driver's own thread check is left on, so only the thread that opened can close."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        params["check_same_thread"] = True
        return super().get_new_connection(params)


@mutant("THR-009", says="it is 4")
class NoSuchLevel(BaselineBackend):
    """threadsafety is no level of PEP 249."""

    @property
    @override
    def threadsafety(self) -> int:
        return 4
