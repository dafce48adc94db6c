"""The leaf that holds one driver connection: it alone closes it, in the process that opened it."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from .local import Token

__all__ = ["Handle", "handle_of", "handles_by_connection", "park"]

ConnT = TypeVar("ConnT")
ConnT_contra = TypeVar("ConnT_contra", contravariant=True)


class Closer(Protocol[ConnT_contra]):
    """What knows how to close: the backend."""

    def close_connection(self, connection: ConnT_contra, /) -> None: ...


class Revocable(Protocol):
    """What must stop before the connection is closed: the guard that the cursors carry."""

    def revoke(self, reason: str) -> None: ...


class Inheritable(Protocol):
    """What carries a guard and is told when a fork has brought it into another process: a cursor."""

    def fork_inherited(self) -> None: ...


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
        _open[id(self)] = ref(self)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def hand_over(self, guard: Revocable) -> None:
        """From now on *guard* is the one to revoke: another wrapper's, or none that matters."""
        self._guard = guard

    @property
    def inherited(self) -> bool:
        """Whether a fork brought this handle here: its connection is the parent's."""
        return self._process != os.getpid()

    @property
    def shared(self) -> bool:
        """Whether threads other than the owner may be using it."""
        ownership = getattr(self._guard, "ownership", None)  # none where no wrapper holds it
        return ownership is not None and ownership.shares > 0

    @property
    def owner(self) -> Token | None:
        """The thread or task whose wrapper holds it; None where no wrapper does."""
        return getattr(getattr(self._guard, "ownership", None), "token", None)

    def close(self) -> None:
        """Close, or park what is another process's. Raises what the driver raises; the connection is gone anyway."""
        self._end(self._closer.close_connection)

    def drop(self) -> None:
        """As `close`, but as a finalizer has to: a pool sends nothing to the server before its next round."""
        self._end(getattr(self._closer, "drop_connection", self._closer.close_connection))

    def _end(self, close: Callable[[ConnT], None]) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        _open.pop(id(self), None)
        if self.inherited:
            self._guard.revoke("its connection is the parent process's")
            park(connection)
        else:
            self._guard.revoke("its connection was closed inside the block")
            close(connection)

    def __del__(self) -> None:
        try:
            self.drop()
        except Exception as error:  # nobody is there to catch it
            _log_failed_close(error)


# Every open handle, by its id, so that a forked child can put the parent's connections out of reach at once. It keeps
# nothing alive. Not a WeakSet: each handle takes itself out, and the set's own bookkeeping took longer than the rest.
_open: dict[int, ref[Handle[Any]]] = {}


def _handles() -> list[Handle[Any]]:
    """Those that are alive. Copying the table is one step, so other threads may open and close meanwhile."""
    return [handle for seen in _open.copy().values() if (handle := seen()) is not None]


def handle_of(connection: object) -> Handle[Any] | None:
    """The open handle that holds *connection*. For a pool, to end a lease whose thread or task is gone."""
    return next((handle for handle in _handles() if handle._connection is connection), None)


def handles_by_connection() -> dict[int, Handle[Any]]:
    """Every open handle, by the id of what it holds. For a pool that looks over all its leases at once."""
    return {id(handle._connection): handle for handle in _handles()}


_parked: list[object] = []


def park(connection: object) -> None:
    """Keep *connection* for good, past the interpreter's exit: freeing it would harm the process that opened it.

    A SQLite child that frees it removes the parent's hot journal; a MySQL child ends the parent's session.
    Cursors are parked too: a SQLite child that frees a half-stepped one commits the parent's statement.
    """
    _parked.append(connection)
    try:
        import ctypes
    except ImportError:  # a build without it: parked until the exit at least
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # module globals are cleared at exit; this is not


def _before_fork() -> None:
    if _open:
        try:  # here, since in the child an import could wait for a lock of a thread that is not there
            import ctypes  # noqa: F401 - loaded for `park`
        except ImportError:
            pass


def _abandon_inherited() -> None:
    handles = _handles()
    guards = [handle._guard for handle in handles]
    for handle in handles:
        handle.close()
    # Asking the collector, once per fork, spares every cursor from being noted somewhere when it is made.
    for carrier in gc.get_referrers(*guards) if guards else ():
        if hasattr(type(carrier), "fork_inherited"):
            cast("Inheritable", carrier).fork_inherited()


def _log_failed_close(error: Exception) -> None:
    if sys.is_finalizing():  # nothing can be imported any more
        return
    import logging

    # The text may hold a secret (libpq repeats what it was given), so the class alone is logged.
    logging.getLogger("backend_sdk").warning("closing a dropped connection failed: %s", type(error).__name__)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before_fork, after_in_child=_abandon_inherited)
