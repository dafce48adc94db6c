"""The cap over all pools of a process: one database server serves many tenants, each with a pool of his own."""

from __future__ import annotations

import time
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable

__all__ = ["Room"]


class Room:
    """At most *limit* connections at a time, None is any number. *evict* closes the one idle longest, anywhere."""

    __slots__ = ("_evict", "_tokens", "hungry", "limit")

    def __init__(self, limit: int | None, evict: Callable[[], bool]) -> None:
        self._evict = evict
        self._tokens: deque[int] = deque()
        self.hungry: deque[LockType] = deque()
        """Who waits for room. Whoever shelves or closes a connection feeds one of them."""
        self.empty(limit)

    def empty(self, limit: int | None) -> None:
        """Nobody is in, nobody waits: at the start, and in a forked child."""
        self.limit = limit
        self.hungry.clear()
        self._tokens.clear()
        self._tokens.extend(range(limit or 0))

    def enter(self, timeout: float) -> bool:
        """Take room for one connection, evicting an idle one if need be. False after *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while not self.enter_freely() and not (self._evict() and self.enter_freely()):
            bell = allocate_lock()
            bell.acquire()
            self.hungry.append(bell)
            if self._evict():  # what was shelved before the bell hung there has rung none
                self._unhang(bell)
                continue
            if not bell.acquire(timeout=max(0.0, deadline - time.monotonic())):
                self._unhang(bell)
                return False
        return True

    def enter_freely(self) -> bool:
        """As `enter`, without waiting and at nobody's expense."""
        if self.limit is None:
            return True
        try:
            self._tokens.pop()
        except IndexError:
            return False
        return True

    def leave(self) -> None:
        if self.limit is not None:
            self._tokens.append(0)
            self.feed()

    def feed(self) -> None:
        """Let the one who waits longest look again."""
        try:
            self.hungry.popleft().release()
        except IndexError:
            return

    def _unhang(self, bell: LockType) -> None:
        try:
            self.hungry.remove(bell)
        except ValueError:  # it was rung meanwhile: that is the next one's
            self.feed()
