"""The leaf that holds one driver connection: it alone closes it, in the process that opened it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handle", "park"]

ConnT = TypeVar("ConnT")
ConnT_contra = TypeVar("ConnT_contra", contravariant=True)


class Closer(Protocol[ConnT_contra]):
    """What knows how to close: the backend."""

    def close_connection(self, connection: ConnT_contra, /) -> None: ...


class Revocable(Protocol):
    """What must stop before the connection is closed: the guard that the cursors carry."""

    def revoke(self, reason: str) -> None: ...


class Handle(Generic[ConnT]):
    """Closes its connection once: when told, else when dropped.

    It refers to nothing that refers back to it, so reference counting alone frees it. On CPython 3.11-3.13
    a bare ``sqlite3.Connection`` is in a cycle with its statement cache; that is why the closing sits here.
    """

    __slots__ = ("__weakref__", "_closer", "_connection", "_guard", "_process")

    def __init__(self, connection: ConnT, closer: Closer[ConnT], guard: Revocable) -> None:
        self._connection: ConnT | None = connection
        self._closer = closer
        self._guard = guard
        self._process = os.getpid()
        _open.add(self)

    @property
    def inherited(self) -> bool:
        """Whether a fork brought this handle here: its connection is the parent's."""
        return self._process != os.getpid()

    def close(self) -> None:
        """Close, or park what is another process's. Raises what the driver raises; the connection is gone anyway."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        _open.discard(self)
        if self.inherited:
            self._guard.revoke("its connection is the parent process's")
            park(connection)
        else:
            self._guard.revoke("its connection was closed inside the block")
            self._closer.close_connection(connection)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception as error:  # nobody is there to catch it
            _log_failed_close(error)


# Every open handle, so that a forked child can put the parent's connections out of reach at once. A set
# of weak references: it keeps nothing alive.
_open: WeakSet[Handle[Any]] = WeakSet()

_parked: list[object] = []


def park(connection: object) -> None:
    """Keep *connection* for good, past the interpreter's exit: freeing it would harm the process that opened it.

    A SQLite child that frees it removes the parent's hot journal; a MySQL child ends the parent's session.
    """
    import ctypes

    _parked.append(connection)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # module globals are cleared at exit; this is not


def _abandon_inherited() -> None:
    for handle in list(_open):
        handle.close()


def _log_failed_close(error: Exception) -> None:
    if sys.is_finalizing():  # nothing can be imported any more
        return
    import logging

    # The text may hold a secret (libpq repeats what it was given), so the class alone is logged.
    logging.getLogger("backend_sdk").warning("closing a dropped connection failed: %s", type(error).__name__)


def _at_fork(after_in_child: Callable[[], None]) -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        os.register_at_fork(after_in_child=after_in_child)


_at_fork(_abandon_inherited)
