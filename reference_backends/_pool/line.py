"""A pool's slots, and those who wait for one."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from typing_extensions import override

from .slots import Slot
from .turns import Turns, in_nobodys_hands

__all__ = ["Line"]

ConnT = TypeVar("ConnT")


class Line(Turns[Slot[ConnT]]):
    """*size* slots move between the deques, whose operations are atomic. One that is in none is in somebody's hands."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.slots: tuple[Slot[ConnT], ...] = tuple(Slot() for _ in range(size))
        self.free = deque(self.slots)
        self.idle: list[Slot[ConnT]] = []  # the one used last at the end
        self.dropped: deque[Slot[ConnT]] = deque()  # given back by finalizers, and not cleaned yet
        self.closed = False

    @override
    def _has_any(self) -> bool:
        return bool(self.closed or self.idle or self.dropped or self.free)

    @override
    def _lay_down(self, thing: Slot[ConnT]) -> None:
        if thing.connection is None:
            self.free.append(thing)
        elif thing.dirty:
            self.dropped.append(thing)
        else:
            self.idle.append(thing)

    @override
    def _take(self) -> tuple[Slot[ConnT] | None] | None:
        if self.closed:
            return (None,)
        for left in (self.idle, self.dropped, self.free):
            try:
                return (left.pop(),)
            except IndexError:
                continue
        return None

    def lost(self) -> list[Slot[ConnT]]:
        """What is neither leased nor in a queue, nor in anybody's hands."""
        # It is in the tuple, and where there is a connection in the pool's table.
        return [
            slot for slot in self.slots
            if slot.owner is None and in_nobodys_hands(slot, 1 + (slot.connection is not None))
        ]  # fmt: skip

    def take_idle(self, slot: Slot[ConnT]) -> bool:
        """Take *slot* in hand, if it is still idle."""
        try:
            self.idle.remove(slot)
        except ValueError:  # somebody was faster
            return False
        return True
