"""A place for one connection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .owners import NOBODY

if TYPE_CHECKING:
    from .owners import Owner
    from .room import Place

__all__ = ["Slot", "is_held", "key_of", "references"]

ConnT = TypeVar("ConnT")


class Holder(Protocol):
    references: int

    @property
    def connection(self) -> Any: ...


def key_of(connection: object) -> object:
    """What a dict finds *connection* by: itself, which is twice as fast as its id, unless its class compares values."""
    kind = type(connection)
    return connection if kind.__hash__ is object.__hash__ and kind.__eq__ is object.__eq__ else id(connection)


_count = getattr(sys, "getrefcount", None)  # CPython has it


def references(holder: Holder) -> int:
    """How many there are to *holder*'s connection; 0 where nothing counts them."""
    return 0 if _count is None else int(_count(holder.connection))


def is_held(holder: Holder) -> bool:
    """Whether somebody still has what was leased to him, and could talk on it at any moment."""
    return references(holder) > holder.references


class Slot(Generic[ConnT]):
    """One of a pool's ``max_size`` places. At any time it is free, idle, dropped, leased, or in one thread's hands.

    Only the thread that has it in hand changes it, so its counters need no lock. ``plain`` says that neither acquiring
    nor releasing needs more than the hand-over itself.
    """

    __slots__ = (
        "broken", "connection", "direct", "dirty", "expires", "fresh", "generation", "idle_since", "last", "marked",
        "opened", "owner", "place", "plain", "references", "resets", "since",
    )  # fmt: skip

    def __init__(self) -> None:
        self.connection: ConnT | None = None
        self.owner: Owner | None = None
        self.last: Owner = NOBODY
        """A thread that had it before."""
        self.place: Place | None = None
        """Its place in the room that all pools share."""
        self.since = 0.0
        """When it was leased last, by the pool's coarse clock."""
        self.plain = False
        self.dirty = False
        """Whether it came back by a finalizer, which cleans nothing."""
        self.direct = 0
        """The number of the last who waited when it was given back: for who came later it has been idle."""
        self.fresh = False
        """Whether the session is as ``init_connection_state`` leaves it, so that the wrapper's call can be spared."""
        self.generation = 0
        self.expires = 0.0
        self.idle_since = 0.0
        self.marked = -1.0
        """``since`` as it was when ``idle_since`` was noted: another lease makes the note void."""
        self.references = 0
        """How many there were to the connection when nobody had it yet."""
        self.opened = 0
        self.broken = 0
        self.resets = 0
