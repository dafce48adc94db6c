"""Leases whose thread or task is gone while somebody still holds the wrapper, or the connection itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from backend_sdk import Handle, handle_of, handles_by_connection

from .owners import Owner
from .slots import references

__all__ = ["Held", "Orphans"]


class Held(Protocol):
    """What is leased: a pool's slot, or its note of a lease."""

    owner: Owner | None
    references: int

    @property
    def connection(self) -> Any: ...


HeldT = TypeVar("HeldT", bound=Held)


class Orphans(Generic[HeldT]):
    """Noted in finalizers, ended by whoever acquires or tends next. ``reclaimed`` counts them."""

    def __init__(self) -> None:
        self.reclaimed = 0
        self._new: deque[tuple[HeldT, Owner]] = deque()
        self._seen: list[tuple[HeldT, Owner, bool]] = []  # to be looked at again; whether without a handle

    def note(self, slots: Iterable[HeldT], owner: Owner) -> bool:
        """Note *owner*'s leases; whether there were any."""
        lost = [(slot, owner) for slot in slots if slot.owner is owner]
        self._new.extend(lost)
        return bool(lost)

    @property
    def waiting(self) -> bool:
        """Whether there is something to end."""
        return bool(self._new)

    def end(self) -> None:
        """End what was noted."""
        while self._new:
            try:
                slot, owner = self._new.popleft()
            except IndexError:  # another thread is at it too
                return
            self._end(slot, owner)

    def _end(self, slot: HeldT, owner: Owner) -> None:
        """End it by its handle, which stops the cursors and then releases. Not what others may be using."""
        handle = handle_of(slot.connection)
        if slot.owner is not owner:  # given back meanwhile. Asked last: if he is, the handle is that of his own lease
            return
        if handle is None or handle.shared or _is_lent(handle, owner):
            self._seen.append((slot, owner, handle is None))
            return
        self.reclaimed += handle.is_open
        try:
            handle.drop()
        except Exception:  # what a closed pool closes at once
            return

    def seek(self, slots: Iterable[HeldT]) -> None:
        """Note the leases of wrappers whose own thread or task has ended, while he who opened them for it lives on.

        He may still be inside the driver, though he could not begin anew; so only where nobody has a cursor any more.
        """
        leased = [(slot, owner) for slot in slots if (owner := slot.owner) is not None]
        handles = handles_by_connection() if leased else {}
        for slot, owner in leased:
            handle = handles.get(id(slot.connection))
            token = handle.owner if handle is not None and not handle.shared else None
            if token is not None and not token.alive and _is_at_rest(slot):
                self._new.append((slot, owner))

    def look_again(self, discard: Callable[[HeldT], None]) -> None:
        """Once per round: *discard* what had no handle at the round before either, since it was taken without one.

        At the first look its handle could just have been in its finalizer. Who took it may still hold it, so it is
        closed rather than handed on.
        """
        seen, self._seen = self._seen, []
        for slot, owner, bare in seen:
            handle = handle_of(slot.connection)
            if slot.owner is owner and bare and handle is None:
                slot.owner = None
                self.reclaimed += 1
                discard(slot)
            else:
                self._end(slot, owner)


def _is_at_rest(held: Held) -> bool:
    """Whether nothing refers to the connection but the pool, the wrapper's handle and its guard."""
    return 0 < references(held) <= held.references + 2


def _is_lent(handle: Handle[Any], owner: Owner) -> bool:
    """Whether *owner*, who has gone, only opened it for another's wrapper, which that one can still use."""
    token = handle.owner
    # A thread's token outlasts its sentinel by a moment, and its ident is nobody else's until then.
    return token is not None and token.alive and token.ident != owner.ident
