"""The cap over all pools of a process: one database server serves many tenants, each with a pool of his own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from .turns import Turns, Waiter, in_nobodys_hands

__all__ = ["Place", "Room"]


class Place:
    """A connection's right to be open."""

    __slots__ = ()


_ANYWHERE = Place()
"""Where there is no limit."""


class Room(Turns[Place]):
    """At most *limit* connections at a time, None is any number. *evict* closes the one idle longest, anywhere."""

    def __init__(self, limit: int | None, evict: Callable[[], bool]) -> None:
        super().__init__()
        self._evict = evict
        self._places: tuple[Place, ...] = ()
        self._free: deque[Place] = deque()
        self.hungry = self.waiters
        """Who waits for room. Whoever shelves a connection is to `feed` them."""
        self.empty(limit)

    def empty(self, limit: int | None) -> None:
        """Nobody is in, nobody waits: at the start, and in a forked child."""
        self.limit = limit
        self._at_it.clear()
        self.waiters.clear()
        self._places = tuple(Place() for _ in range(limit or 0))
        self._free = deque(self._places)

    @property
    def full(self) -> str:
        """Why one is not let in."""
        return f"all pools together may have {self.limit}"

    def enter(self, timeout: float) -> Place | None:
        """A place for one connection, evicting an idle one if need be. None after *timeout* seconds."""
        place = self.enter_freely()
        if place is not None:
            return place
        asker: Waiter[Place] = Waiter()
        try:
            self.waiters.append(asker)
            self.dispatch()
            # What was shelved before he stood in line was not closed for him.
            while not (asker.decided or self._free) and self._evict():
                continue
            if asker.wait(timeout):
                return asker.granted
        except BaseException:  # KeyboardInterrupt, while waiting
            place = asker.abandon()
            if place is not None:
                self.leave(place)
            raise
        self.dispatch()  # he stands in line no more
        return None

    def enter_freely(self) -> Place | None:
        """As `enter`, without waiting and at nobody's expense."""
        if self.limit is None:
            return _ANYWHERE
        taken = None if self.waiters else self._take()
        return None if taken is None else taken[0]

    def leave(self, place: Place) -> None:
        if place is not _ANYWHERE:
            self.put_back(place)

    def feed(self) -> None:
        """Something became idle: close what has been so longest, for the one who waits longest."""
        if self.waiting:
            self._evict()

    def recover(self) -> None:
        """Take back what the exception of a signal handler has left in nobody's hands, and serve who waits for it."""
        for place in self._places:
            if in_nobodys_hands(place, 1):
                self.put_back(place)
        self.dispatch()

    def is_asked_before(self, others: list[Waiter[Any]]) -> bool:
        """Whether somebody waits for room who came before the first of *others*."""
        try:
            return self.waiters[0].number < others[0].number
        except IndexError:
            return False

    @override
    def _has_any(self) -> bool:
        return bool(self._free)

    @override
    def _take(self) -> tuple[Place] | None:
        try:
            return (self._free.pop(),)
        except IndexError:
            return None

    @override
    def _lay_down(self, thing: Place) -> None:
        self._free.append(thing)
