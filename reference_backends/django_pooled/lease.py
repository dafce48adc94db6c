"""One wrapper's lease: what has to stop, and where, when it ends by itself, from elsewhere, or in a forked child."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet, ref

from backend_sdk import Handle, park

from .sessions import DjangoPool

__all__ = ["Lease"]


class Gone:
    """Stands where a driver's connection or cursor was: whoever uses it is told so in the driver's own error."""

    __slots__ = ("_error", "_why")

    def __init__(self, error: type[Exception], why: str) -> None:
        object.__setattr__(self, "_error", error)
        object.__setattr__(self, "_why", why)

    def __getattr__(self, name: str) -> Any:
        raise self._error(self._why)

    def __setattr__(self, name: str, value: object) -> None:
        raise self._error(self._why)

    def __iter__(self) -> Any:
        raise self._error(self._why)

    def close(self) -> None:
        """It is."""


class Guard:
    """What the handle revokes: the lease's cursors, and the wrapper's hold where he has not let go himself.

    It holds the wrapper weakly: the wrapper holds the handle, and the handle this.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = ref(wrapper)
        self._process = os.getpid()
        self._error: type[Exception] = wrapper.Database.InterfaceError
        self.cursors: WeakSet[Any] = WeakSet()
        self.let_go = False

    @property
    def ownership(self) -> Guard:
        return self

    @property
    def shares(self) -> int:
        """For `Handle.shared`: while other threads may use the wrapper, its owner's end is not the lease's."""
        wrapper = self._wrapper()
        return int(wrapper is not None and wrapper.allow_thread_sharing)

    def revoke(self, reason: str) -> None:
        """Stop the cursors; and tell the wrapper, if this comes from elsewhere. In a child nothing is sent."""
        inherited = self._process != os.getpid()
        gone = self.gone("it belongs to the parent process" if inherited else "it went back to the pool")
        for cursor in list(self.cursors):
            if inherited:
                park(cursor.cursor)
            if inherited or not _closes(cursor.cursor):
                cursor.cursor = gone
        wrapper = self._wrapper()
        if wrapper is not None and not self.let_go:
            wrapper.lose_connection(gone)

    def gone(self, why: str) -> Gone:
        return Gone(self._error, f"this wrapper has its connection no longer: {why}")


def _closes(cursor: Any) -> bool:
    """Close the driver's *cursor*, which then refuses any use (PEP 249)."""
    try:
        cursor.close()
    except Exception:  # the session is gone, or its transaction has failed; the pool looks at it next
        return False
    return True


class Returning:
    """What a handle closes with: the lease, not the session."""

    __slots__ = ("_pool",)

    def __init__(self, pool: DjangoPool) -> None:
        self._pool = pool

    def close_connection(self, connection: Any, /) -> None:
        self._pool.release(connection)

    def drop_connection(self, connection: Any, /) -> None:
        self._pool.drop(connection)


class Lease:
    """*connection* of *pool*, as long as *wrapper* has it. Dropped with the wrapper, it gives the connection back."""

    __slots__ = ("_guard", "_handle", "connection")

    def __init__(self, wrapper: Any, pool: DjangoPool, connection: Any) -> None:
        self.connection = connection
        self._guard = Guard(wrapper)
        self._handle = Handle(connection, Returning(pool), self._guard)

    def covers(self, cursor: Any) -> Any:
        """Note Django's *cursor*, to be stopped with the lease."""
        self._guard.cursors.add(cursor)
        return cursor

    def end(self) -> Gone:
        """Give the connection back; returns what the wrapper is to hold instead."""
        self._guard.let_go = True
        self._handle.close()
        return self._guard.gone("it went back to the pool")
