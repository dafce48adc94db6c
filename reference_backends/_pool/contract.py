"""What a pool raises and tells, and what it needs from those who tend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backend_sdk import InterfaceError, OperationalError

if TYPE_CHECKING:
    from .room import Room

__all__ = ["Keeper", "PoolClosed", "PoolStatistics", "PoolTimeout"]


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
