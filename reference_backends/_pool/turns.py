"""Those who wait for something, and the one decision of what each gets; no lock that anybody waits for.

An exception of a signal handler can come between any two steps in the main thread, so each is undone, or found
again by the next who looks.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from abc import ABC, abstractmethod
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Turns", "Waiter", "in_nobodys_hands"]

T = TypeVar("T")

_numbers = count(1)


class Waiter(Generic[T]):
    """Waits for its turn. Whether it gets something or gives up is decided once, by whoever says so first."""

    __slots__ = ("_verdicts", "_wake", "number", "roused")

    def __init__(self) -> None:
        self.number = next(_numbers)
        """Who came later has a higher one, whatever he waits for."""
        self._verdicts: list[tuple[T | None]] = []  # the first counts: appending and reading need no lock
        # A bare lock rather than threading.Event: an event's set() takes a lock, and a finalizer that runs inside it
        # would wait for its own thread.
        self._wake = allocate_lock()
        self._wake.acquire()
        self.roused = False

    @property
    def decided(self) -> bool:
        return bool(self._verdicts)

    @property
    def granted(self) -> T | None:
        """What it got: None if nothing, or not yet."""
        return self._verdicts[0][0] if self._verdicts else None

    def grant(self, thing: T | None) -> bool:
        """Hand *thing* over (None: there will be none). False if the waiter has given up; then it keeps nothing."""
        verdict = (thing,)
        self._verdicts.append(verdict)
        if self._verdicts[0] is not verdict:
            return False
        self._wake.release()
        self.roused = True
        return True

    def rouse(self) -> None:
        """Let him see what was decided, should an interrupt have come between the decision and this."""
        try:
            self._wake.release()
        except RuntimeError:  # he sees it
            return

    def wait(self, timeout: float) -> bool:
        """Whether a decision came within *timeout* seconds. False means that the waiter has now given up."""
        return self._wake.acquire(timeout=max(0.0, timeout)) or not self._give_up()

    def abandon(self) -> T | None:
        """Give up for good; returns what was granted nevertheless."""
        return None if self._give_up() else self.granted

    def _give_up(self) -> bool:
        verdict = (None,)
        self._verdicts.append(verdict)
        return self._verdicts[0] is verdict


_references = getattr(sys, "getrefcount", None)  # CPython has it


def in_nobodys_hands(thing: object, places: int) -> bool:
    """Whether nothing refers to *thing* but its *places* where it always is, and the caller's variable.

    What an interrupt has left between two queues is so; what somebody has in hand is not. False off CPython.
    """
    return _references is not None and _references(thing) <= places + 3  # the variable, this one, and the argument


class Turns(ABC, Generic[T]):
    """Who waits is served in the order he came.

    Waiters are matched by whichever thread comes first. One that finds another at it may go, since that one looks
    again after letting go; so a finalizer can call `dispatch` even while its own thread is inside.
    """

    def __init__(self) -> None:
        self.waiters: list[Waiter[T]] = []
        """Every lease asks whether it is empty, which a deque would answer more slowly."""
        self._at_it: dict[str, object] = {}
        """Who matches. Not a lock: it does not tell who holds it, should an interrupt have come in between."""

    @abstractmethod
    def _has_any(self) -> bool:
        """Whether there is something to give."""

    @abstractmethod
    def _take(self) -> tuple[T | None] | None:
        """What the next gets, None if there is nothing after all."""

    @abstractmethod
    def _lay_down(self, thing: T) -> None:
        """Where it is found again. Tells nobody."""

    def put_back(self, thing: T) -> None:
        """What is in hand, as it is, for anybody."""
        self._lay_down(thing)
        self.dispatch()

    def dispatch(self) -> None:
        """Match those who wait with what there is."""
        me = object()
        while self._is_due():
            try:
                if self._at_it.setdefault("", me) is not me:
                    return
                self._match()
            finally:
                # No call in here: an interrupt between two would leave it taken for good.
                try:
                    mine = self._at_it[""] is me
                except KeyError:
                    mine = False
                if mine:
                    del self._at_it[""]

    def _is_due(self) -> bool:
        try:
            return self.waiters[0].decided or self._has_any()
        except IndexError:
            return False

    def _match(self) -> None:
        """Only here are waiters taken out, and only when all is decided: an interrupt leaves them where they are."""
        while self.waiters:
            first = self.waiters[0]
            if not first.decided:
                taken = self._take()
                if taken is None:
                    return
                if not first.grant(taken[0]) and taken[0] is not None:
                    self._lay_down(taken[0])
            self.waiters.pop(0)
            if not first.roused:
                first.rouse()

    def last_number(self) -> int:
        """The number of who came last; 0 if nobody waits."""
        try:
            return self.waiters[-1].number
        except IndexError:
            return 0

    @property
    def waiting(self) -> int:
        return sum(not waiter.decided for waiter in list(self.waiters))
