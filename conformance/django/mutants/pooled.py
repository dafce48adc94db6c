"""A right engine with a pool, and the wrong ones about pools."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any, ClassVar

from conformance.selftest.listing import wrong

from . import right
from .stock import Database, SQLiteWrapper

__all__ = ["DatabaseWrapper", "Pool", "PoolSupport"]

SIZE = 10


class PoolTimeout(Exception):
    """What the pool's library raises."""


class Pool:
    """Last in, first out; knows how many are out, and when each was opened."""

    def __init__(self) -> None:
        self.idle: list[Any] = []
        self.out: list[weakref.ref[Any]] = []
        self.opened: dict[int, float] = {}
        self.lock = threading.Lock()

    def taken(self) -> int:
        self.out = [lease for lease in self.out if lease() is not None]
        return len(self.out)


class PoolSupport:
    """SQLite's support, and the options with which every connection is too old."""

    def __new__(cls) -> Any:
        from conformance.django.supports import SQLiteEngineSupport

        support: Any = SQLiteEngineSupport(Database)
        support.loses_sessions = True
        support.expired_pool = lambda _mapping: {"OPTIONS": {"max_lifetime": 0}}
        return support


class DatabaseWrapper(right.DatabaseWrapper):
    test_support = PoolSupport
    pools: ClassVar[dict[Any, Pool]] = {}
    params: ClassVar[tuple[str, ...]] = ("database", "timeout")
    max_lifetime: float = 3600.0

    def get_connection_params(self) -> Any:
        params = SQLiteWrapper.get_connection_params(self)
        self.max_lifetime = params.pop("max_lifetime", 3600.0)
        self.held: list[weakref.ref[Any]] = []
        return params

    def key(self, params: Any) -> Any:
        return tuple(params.get(name) for name in self.params)

    def get_new_connection(self, conn_params: Any) -> Any:
        self.lease = self.pools.setdefault(self.key(conn_params), Pool())
        with self.lease.lock:
            connection = self.from_idle() or self.open(conn_params)
            self.lease.out.append(weakref.ref(self))
        return connection

    def from_idle(self) -> Any:
        while self.lease.idle:
            connection = self.lease.idle.pop()
            if self.is_fit(connection):
                return connection
            connection.close()
        return None

    def open(self, conn_params: Any) -> Any:
        if self.lease.taken() >= SIZE:
            raise self.exhausted()
        connection = SQLiteWrapper.get_new_connection(self, conn_params)
        self.lease.opened[id(connection)] = time.monotonic()
        return connection

    def exhausted(self) -> Exception:
        error: Exception = Database.OperationalError("no connection is free")
        return error

    def is_fit(self, connection: Any) -> bool:
        return time.monotonic() - self.lease.opened[id(connection)] < self.max_lifetime

    def create_cursor(self, name: Any = None) -> Any:
        cursor = SQLiteWrapper.create_cursor(self, name)
        self.held.append(weakref.ref(cursor))
        return cursor

    def _close(self) -> None:
        with self.wrap_database_errors:
            for cursor in self.held:
                self.end(cursor())
            self.give_back(self.connection)

    def end(self, cursor: Any) -> None:
        if cursor is not None:
            cursor.close()

    def give_back(self, connection: Any) -> None:
        self.release()
        try:
            self.reset(connection)
        except Database.Error:
            connection.close()
        else:
            self.lease.idle.append(connection)

    def release(self) -> None:
        self.lease.out = [lease for lease in self.lease.out if lease() not in {None, self}]

    def reset(self, connection: Any) -> None:
        connection.rollback()
        connection.isolation_level = None
        for (name,) in connection.execute("SELECT name FROM sqlite_temp_master WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE temp.{name}").close()


@wrong(
    "DJPOOL-001", says="after a connection was given back in a transaction another session sees 1 row(s) instead of 0"
)
class GivesBackCommitted(DatabaseWrapper):
    """What was open when a connection is given back is committed."""

    def reset(self, connection: Any) -> None:
        connection.commit()
        super().reset(connection)


@wrong("DJPOOL-001", says="after the next owner's INSERT another session sees 2 row(s) instead of 1")
class HandsTransactionOn(DatabaseWrapper):
    """An open transaction is handed on."""

    def reset(self, connection: Any) -> None:
        connection.execute("SELECT 1").close()


@wrong("DJPOOL-002", says="a cursor held over close() ran a query on the next owner's connection")
class CursorsOutliveTheLease(DatabaseWrapper):
    """A cursor works on after its lease."""

    def end(self, cursor: Any) -> None:
        pass


@wrong("DJPOOL-003", says="sees the last one's temporary table")
class HandsTemporaryTablesOn(DatabaseWrapper):
    """Session state is handed on."""

    def reset(self, connection: Any) -> None:
        connection.rollback()
        connection.isolation_level = None


@wrong("DJPOOL-004", says="failed initializations an open raised OperationalError: no connection is free")
class LosesSlots(DatabaseWrapper):
    """A slot is given back only by a connection that was initialized."""

    ready = False
    lost: ClassVar[list[object]] = []

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.ready = True

    def give_back(self, connection: Any) -> None:
        if self.ready:
            super().give_back(connection)
        else:
            self.lost.append(self)


@wrong("DJPOOL-005", says="after wrappers were dropped an open raised OperationalError")
class PinsSlots(DatabaseWrapper):
    """The pool holds the wrappers that have a lease."""

    leases: ClassVar[list[object]] = []

    def get_new_connection(self, conn_params: Any) -> Any:
        self.leases.append(self)
        return super().get_new_connection(conn_params)

    def release(self) -> None:
        super().release()
        self.leases.remove(self)


@wrong("DJPOOL-006", says="conformance.django.mutants.pooled.PoolTimeout")
class LibrarysErrorEscapes(DatabaseWrapper):
    """An empty pool raises its library's exception."""

    def exhausted(self) -> Exception:
        return PoolTimeout("no connection is free")


@wrong("DJPOOL-007", says="handed on after its maximum lifetime")
class IgnoresMaximumLifetime(DatabaseWrapper):
    """max_lifetime is read and ignored."""

    def is_fit(self, connection: Any) -> bool:
        return True


@wrong("DJPOOL-008", says="the next owner got ProgrammingError")
class HandsTheDeadOn(DatabaseWrapper):
    """Whatever is given back is handed on."""

    def end(self, cursor: Any) -> None:
        pass

    def give_back(self, connection: Any) -> None:
        self.release()
        self.lease.idle.append(connection)

    def is_fit(self, connection: Any) -> bool:
        return True

    def init_connection_state(self) -> None:
        pass


@wrong("DJPOOL-009", says="a wrapper with another NAME got a connection to the alias's first database")
class KeyedByAlias(DatabaseWrapper):
    """The pool's key is the alias."""

    def key(self, params: Any) -> Any:
        return self.alias


@wrong("DJLIFE-005", says="the alias 'other' sees 1 row(s)")
class OnePoolForAllAliases(DatabaseWrapper):
    """One pool serves every alias."""

    def key(self, params: Any) -> Any:
        return "the pool"

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self.lease.idle.append(connection)
        return connection


@wrong("DJGC-003", says="the first wrapper of its alias is kept alive by")
class PoolCallsTheFirst(DatabaseWrapper):
    """The pool's reset is a method of the wrapper that made the pool."""

    resets: ClassVar[dict[Any, Any]] = {}

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self.resets.setdefault(self.alias, self.reset)
        return connection


class _Lost:
    """A slot that is counted, and that nobody has."""


@wrong("DJPOOL-010", says="after opens that were refused, one more raised")
class LosesRefusedSlots(DatabaseWrapper):
    """A slot is counted before the open, and still is when that fails."""

    lost: ClassVar[list[_Lost]] = []

    def open(self, conn_params: Any) -> Any:
        try:
            return super().open(conn_params)
        except Database.Error:
            self.lost.append(_Lost())
            self.lease.out.append(weakref.ref(self.lost[-1]))
            raise
