"""What becomes of a wrapper's connection when the scope that it was made under is over.

Its owner *surrenders* it: rolled back, cleaned and kept for the thread's next scope, or closed. Any other thread
*retires* it: nothing may use it any more, and whoever can close it safely does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from .backend import DelegatingBackend
from .guard import Guard
from .lifetime import Lifetime
from .local import NOBODY, get_ident
from .protocols import SupportsReset, TransactionStatus
from .transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from .errors import DriverErrors
    from .handle import Handle
    from .wrapper import DatabaseWrapper

__all__ = ["Cache", "Parked", "adopt", "close_quietly", "retire", "session_key", "surrender"]

SessionKey = tuple[object, ...]

IN_TRANSACTION, FAILED = TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED  # a member costs two lookups


class Parked(NamedTuple):
    """An open, clean session that no wrapper holds."""

    key: SessionKey
    handle: Handle[Any]
    connection: Any
    errors: DriverErrors
    opened: float
    max_age: float | None

    def expired(self, now: float) -> bool:
        return not self.handle.is_open or (self.max_age is not None and now >= self.opened + self.max_age)


def session_key(backend: object) -> SessionKey:
    """What two sessions have to have in common for one to stand in for the other."""
    kinds: list[object] = []
    inner: Any = backend
    while True:
        kinds += (type(inner), inner.settings.fingerprint)  # one around another may have settings of its own
        if not isinstance(inner, DelegatingBackend):
            return tuple(kinds)
        inner = inner.wrapped


class Cache:
    """One thread's open sessions between scopes, at most *limit* over all tenants; the one unused longest goes first.

    The thread itself is the only one to use it. Dropping it closes them all.
    """

    __slots__ = ("_clock", "_limit", "parked")

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self.parked: list[Parked] = []  # the one parked last at the end

    def __len__(self) -> int:
        return len(self.parked)

    def take(self, key: SessionKey) -> Parked | None:
        """The session parked last under *key*, or None."""
        self.expire()
        for index in range(len(self.parked) - 1, -1, -1):
            if self.parked[index].key == key:
                return self.parked.pop(index)
        return None

    def put(self, parked: Parked) -> None:
        self.parked.append(parked)
        self.expire()
        while len(self.parked) > self._limit:
            close_quietly(self.parked.pop(0).handle)

    def expire(self) -> None:
        """Close those that are too old, whoever's they are."""
        if not self.parked:
            return
        now = self._clock()
        old = [parked for parked in self.parked if parked.expired(now)]
        if old:
            self.parked = [parked for parked in self.parked if parked not in old]
            for parked in old:
                close_quietly(parked.handle)

    def clear(self) -> None:
        parked, self.parked = self.parked, []
        for each in parked:
            close_quietly(each.handle)


def adopt(wrapper: DatabaseWrapper[Any, Any], parked: Parked) -> None:
    """Give *wrapper*, which is new, the open session *parked*."""
    backend, settings = wrapper._backend, wrapper.settings
    lifetime = Lifetime(
        settings.conn_max_age, health_checks=settings.conn_health_checks, clock=wrapper._clock, opened=parked.opened
    )
    lifetime.use_ended()  # the next use starts with a look, where that is asked for
    transaction = Transaction(autocommit=settings.autocommit)
    guard = Guard(wrapper._ownership, backend, parked.connection, parked.errors, transaction, lifetime, ())
    parked.handle.hand_over(guard)
    wrapper._guard, wrapper._handle = guard, parked.handle
    guard.refresh()


def surrender(wrapper: DatabaseWrapper[Any, Any], reason: str) -> Parked | None:
    """End *wrapper*, in its owner's thread. Its session is returned if it is worth keeping, else closed.

    Raises, translated, what the driver raises on closing; the connection is gone all the same.
    """
    guard, handle = _part(wrapper, reason)
    if guard is None or handle is None or guard.connection is None:
        return None
    backend, connection = wrapper._backend, guard.connection
    if not _worth_keeping(wrapper, guard):
        _roll_back(backend, guard, connection)
        _close(handle, guard)
        return None
    try:
        _clean(backend, guard, connection)
    except Exception:  # it cannot be cleaned, so nobody may have it after this
        close_quietly(handle)
        return None
    parked = Parked(
        session_key(backend), handle, connection, guard.errors, guard.lifetime.opened, wrapper.settings.conn_max_age
    )
    guard.revoke(reason)
    handle.hand_over(_NOBODYS)
    return parked


def _part(wrapper: DatabaseWrapper[Any, Any], reason: str) -> tuple[Guard | None, Handle[Any] | None]:
    wrapper._ownership.ended = reason
    guard, handle = wrapper._guard, wrapper._handle
    wrapper._guard = wrapper._handle = None
    if guard is not None:
        guard.fast = NOBODY.here  # so every cursor asks, and learns that it has ended
    return guard, handle


def _worth_keeping(wrapper: DatabaseWrapper[Any, Any], guard: Guard) -> bool:
    settings = wrapper._backend.settings
    return (
        settings.conn_max_age != 0
        and not settings.is_private
        and not guard.lost
        and not guard.lifetime.expired
        and SupportsReset in wrapper._backend.abilities
        and wrapper._ownership.lock is None  # never shared: no other thread is inside the driver
    )


def _clean(backend: Any, guard: Guard, connection: Any) -> None:
    if guard.transaction.blocks or not guard.transaction.autocommit:
        backend.rollback(connection)
    if guard.transaction.autocommit != backend.settings.autocommit:
        backend.set_autocommit(connection, backend.settings.autocommit)
    backend.reset(connection)
    backend.init_connection_state(connection)
    if guard.lifetime.failed:
        backend.ping(connection)


def _roll_back(backend: Any, guard: Guard, connection: Any) -> None:
    """Not left to the closing: some databases commit what is open when a session ends in good order."""
    try:
        status = backend.transaction_status(connection)
        if guard.transaction.blocks or status is IN_TRANSACTION or status is FAILED:
            backend.rollback(connection)
    except Exception:  # closing it is all that is left
        return


def _close(handle: Handle[Any], guard: Guard) -> None:
    try:
        handle.close()
    except guard.errors.caught as error:
        raise guard.failure(error, "close") from error


def close_quietly(handle: Handle[Any]) -> None:
    try:
        handle.close()
    except Exception:  # nobody waits for it
        return


class _Nobodys:
    """Stands for the guard of a handle that no wrapper holds."""

    __slots__ = ()

    def revoke(self, reason: str) -> None:
        """There is no cursor to stop."""


_NOBODYS = _Nobodys()


def retire(wrapper: DatabaseWrapper[Any, Any], reason: str) -> Callable[[], None] | None:
    """End *wrapper* from any thread, without blocking. Returns what closes its connection, for the caller to call.

    None where there is nothing to close, or where a call is running on it: then the cursor that runs it keeps the
    connection, refuses everything from now on, and closes it when it is used again or dropped, in its owner's thread.
    """
    guard, handle = _part(wrapper, reason)
    if guard is None or handle is None:
        return None
    if _is_running(guard):
        guard.kept = handle
        handle.hand_over(_NOBODYS)  # or the two would hold one another
        return None
    backend, connection = wrapper._backend, guard.connection

    def close() -> None:
        if connection is not None:
            _roll_back(backend, guard, connection)
        _close(handle, guard)

    return close


# Every call that the SDK conducts runs below one of these modules' functions, and each of them tests the guard
# after it was entered. So once the guard refuses, a thread that has none of them on its stack is not inside the driver
# and will not get there. It costs the calls themselves nothing.
_CONDUCTORS = frozenset(f"{__package__}.{name}" for name in ("atomic", "cursor", "guard", "wrapper"))


def _is_running(guard: Guard) -> bool:
    """Whether another thread may be inside the driver with *guard*'s connection."""
    ident = guard.ownership.token.ident
    stacks = sys._current_frames()
    stacks.pop(get_ident(), None)
    if ident and guard.ownership.lock is None:  # never shared: its owner is the only suspect
        return ident in stacks and _conducts(stacks[ident], guard)
    return any(_conducts(top, guard) for top in stacks.values())


def _conducts(top: FrameType, guard: Guard) -> bool:
    frame: FrameType | None = top
    while frame is not None:
        if frame.f_globals.get("__name__") in _CONDUCTORS:
            names = frame.f_locals
            actor = names.get("self")
            if names.get("guard") is guard or actor is guard or getattr(actor, "_guard", None) is guard:
                return True
        frame = frame.f_back
    return False
