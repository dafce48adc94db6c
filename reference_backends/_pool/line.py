"""Slots and those who wait for one, brought together in order, without a lock that anybody waits for."""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from typing import Generic, TypeVar

from .slots import Slot, Waiter

__all__ = ["Line"]

ConnT = TypeVar("ConnT")


class Line(Generic[ConnT]):
    """*size* slots move between the deques, whose operations are atomic. A slot that is in none is in somebody's hands.

    Waiters are matched by whichever thread takes ``busy`` without waiting. One that finds it taken may go, since the
    holder looks again after letting go; so a finalizer can call `dispatch` even while its own thread is inside.
    """

    def __init__(self, size: int) -> None:
        self.slots: tuple[Slot[ConnT], ...] = tuple(Slot() for _ in range(size))
        self.free = deque(self.slots)
        self.idle: list[Slot[ConnT]] = []  # the one used last at the end
        self.dropped: deque[Slot[ConnT]] = deque()  # given back by finalizers, and not cleaned yet
        self.waiters: deque[Waiter[ConnT]] = deque()
        self.busy = allocate_lock()
        self.closed = False

    def put_back(self, slot: Slot[ConnT]) -> None:
        """What is in hand, as it is, for anybody."""
        self._lay_down(slot)
        self.dispatch()

    def _lay_down(self, slot: Slot[ConnT]) -> None:
        if slot.connection is None:
            self.free.append(slot)
        elif slot.dirty:
            self.dropped.append(slot)
        else:
            self.idle.append(slot)

    def dispatch(self) -> None:
        """Match waiters with slots."""
        while self.waiters and (self.closed or self.idle or self.dropped or self.free):
            if not self.busy.acquire(blocking=False):
                return
            try:
                self._match()
            finally:
                self.busy.release()

    def _match(self) -> None:
        while self.waiters:
            if self.waiters[0].decided:  # he has given up
                self.waiters.popleft()
                continue
            slot = None if self.closed else self._any_slot()
            if slot is None and not self.closed:
                return
            if not self.waiters.popleft().grant(slot) and slot is not None:
                self._lay_down(slot)

    def _any_slot(self) -> Slot[ConnT] | None:
        try:
            return self.idle.pop()
        except IndexError:
            pass
        for left in (self.dropped, self.free):
            try:
                return left.pop()
            except IndexError:
                continue
        return None

    def take_idle(self, slot: Slot[ConnT]) -> bool:
        """Take *slot* in hand, if it is still idle."""
        try:
            self.idle.remove(slot)
        except ValueError:  # somebody was faster
            return False
        return True

    @property
    def waiting(self) -> int:
        return sum(not waiter.decided for waiter in list(self.waiters))
