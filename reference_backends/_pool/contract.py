"""What a pool raises and tells, and what it needs from those who tend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backend_sdk import InterfaceError, OperationalError

if TYPE_CHECKING:
    from .room import Room

__all__ = ["Keeper", "PoolClosed", "PoolStatistics", "PoolTimeout", "no_room", "out_of_time", "refused"]

_NAMED = 3  # holders, in a timeout's text


class PoolTimeout(OperationalError):
    """No connection became free in time."""


class PoolClosed(InterfaceError):
    """The pool has been closed."""


class Keeper(Protocol):
    """What tends a pool from outside."""

    room: Room

    def watch(self, pool: Any, /) -> None:
        """The pool has a connection from now on: tend it until it has none."""

    def wake(self) -> None:
        """There is something to do; called from finalizers too."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What is where now; and since the start, how many were opened, found broken, reset, and taken from the dead."""

    max_size: int
    size: int
    idle: int
    leased: int
    waiting: int
    opened: int
    broken: int
    resets: int
    reclaimed: int
    timeouts: int


def out_of_time(
    backend: object, now: PoolStatistics, held: list[tuple[float, str]], timeout: float, clock: float, why: str = ""
) -> PoolTimeout:
    """The error of who has waited *timeout* seconds in vain. *held*: since when, and by whom; *clock*: now."""
    longest = ", ".join(f"{label} for {clock - since:.1f} s" for since, label in sorted(held)[:_NAMED])
    error = PoolTimeout(
        f"no connection of {backend!r}'s pool came free within {timeout:g} s: size {now.size} of {now.max_size}, "
        f"{now.idle} idle, {now.waiting} waiting; held longest by {longest or 'nobody'}{why}"
    )
    error.step = "acquire"
    return error


def refused(pool: object) -> PoolClosed:
    """The error of who comes to a pool that is closed."""
    error = PoolClosed(f"{pool!r} is closed")
    error.step = "acquire"
    return error


def no_room(pool: object, full: str) -> PoolTimeout:
    """The error of who would open one more than all pools together may have."""
    error = PoolTimeout(f"{pool!r} opens no more: {full}")
    error.step = "acquire"
    return error
