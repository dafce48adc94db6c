"""Wrong in memory: what keeps connections, wrappers and backends alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import SupportsClose, SupportsConfigure

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant


@mutant("GC-001", says="dropped 'after an SQL error', the wrapper is still held by")
class RemembersError(BaselineBackend):
    """is_disconnect keeps the last error, whose traceback holds the frames, and they the wrapper."""

    last_error: ClassVar[BaseException | None] = None

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        type(self).last_error = error
        return super().is_disconnect(error)


class _KeepsErrors(BaselineCursor):
    _all: ClassVar[list[Any]] = []

    @override
    def execute(self, *args: Any) -> Any:
        try:
            return super().execute(*args)
        except Exception as error:
            self._all.append(error)
            raise


@mutant("GC-001", says="dropped 'after an SQL error', the wrapper is still held by")
class CursorsRememberErrors(BaselineBackend):
    """Its cursors keep each error in a list on their class."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _KeepsErrors(connection)


@mutant("GC-002", says="held, by class conformance.selftest.mutants.collection.KeepsConnections")
class KeepsConnections(BaselineBackend):
    """Every connection is kept in a list on the class."""

    _all: ClassVar[list[sqlite3.Connection]] = []

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = super().get_new_connection(params)
        self._all.append(connection)
        return connection


@mutant("GC-002", says="lru_cache")
class CachesByConnection(BaselineBackend):
    """A method that takes a connection is cached with lru_cache."""

    @lru_cache(maxsize=100)  # noqa: B019 - the defect
    def _encoding(self, connection: sqlite3.Connection) -> str:
        return str(connection.execute("PRAGMA encoding").fetchone()[0])

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        super().init_connection_state(connection)
        self._encoding(connection)


@mutant("GC-003", says="not even the collector frees it")
class FunctionRefersToConnection(SupportsConfigure[sqlite3.Connection], BaselineBackend):
    """configure_connection gives the driver a function whose closure holds the connection."""

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.create_function("changes_so_far", 0, lambda: connection.total_changes)


class _Helper:
    def __init__(self, connection: _ConnectionWithHelper) -> None:
        self.connection = connection

    def __del__(self) -> None:
        pass


class _ConnectionWithHelper(sqlite3.Connection):
    helper: _Helper | None = None


@mutant("GC-004", says="_Helper (__del__ by conformance.selftest.mutants.collection._Helper)")
class HelperRefersBack(BaselineBackend):
    """A helper with __del__ hangs on the connection and refers back to it."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = sqlite3.connect(**params, factory=_ConnectionWithHelper)
        connection.helper = _Helper(connection)
        return connection


class _ConnectionWithCallback(sqlite3.Connection):
    describe: Callable[[], str] | None = None


@mutant("GC-004", says="function CallbackRefersBack.get_new_connection.<locals>.<lambda>")
class CallbackRefersBack(BaselineBackend):
    """A closure over the connection hangs on the connection itself."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = sqlite3.connect(**params, factory=_ConnectionWithCallback)
        connection.describe = lambda: repr(connection)
        return connection


@mutant("GC-005", says="the backend has a __del__, defined by conformance.selftest.mutants.collection.HasFinalizer")
class HasFinalizer(BaselineBackend):
    """The backend has a __del__."""

    def __del__(self) -> None:
        pass


class _ClosesItself(BaselineCursor):
    __slots__ = ()

    def __del__(self) -> None:
        self.close()


@mutant("GC-005", says="its cursor class has a __del__")
class CursorHasFinalizer(BaselineBackend):
    """Its cursors close themselves in __del__."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _ClosesItself(connection)


@mutant("GC-006", says="it is still held by")
class CachesBoundMethod(BaselineBackend):
    """A bound method of its own is stored on the instance."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._open = self.get_new_connection


@mutant("GC-006", says="it is still held by class conformance.selftest.mutants.collection.RegistersItself")
class RegistersItself(BaselineBackend):
    """Every instance is kept in a list on the class."""

    _all: ClassVar[list[BaselineBackend]] = []

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._all.append(self)


@mutant("GC-007", says="more session(s) than before")
class ClosesLater(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection puts the connection into a list, to be closed some day."""

    _later: ClassVar[list[sqlite3.Connection]] = []

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        self._later.append(connection)


@mutant("GC-001", says="left 1 connection(s) open")
class KeepsHandles(BaselineBackend):
    """It keeps whatever refers to its connections, and so the handle that would close them."""

    _all: ClassVar[list[Any]] = []

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        import gc

        super().init_connection_state(connection)
        self._all.extend(holder for holder in gc.get_referrers(connection) if type(holder).__name__ == "Handle")
