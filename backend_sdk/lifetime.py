"""When a connection is too old, and when it has to be looked at before use. The clock is an argument."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "Lifetime"]

if TYPE_CHECKING:
    Clock = Callable[[], float]
    """Seconds, monotonic."""


class Lifetime:
    """One open connection's age and health bookkeeping. Used by the owner's thread only.

    *max_age* in seconds: None is for ever, 0 until the end of the present use. With *health_checks* the
    connection is due for a look at the start of each use after the first.
    """

    __slots__ = ("_clock", "_expires", "_health_checks", "check_due", "failed", "opened")

    def __init__(
        self, max_age: float | None, *, health_checks: bool, clock: Clock = time.monotonic, opened: float | None = None
    ) -> None:
        self._clock = clock
        self.opened = clock() if opened is None else opened
        self._expires = None if max_age is None else self.opened + max_age
        self._health_checks = health_checks
        self.check_due = False
        self.failed = False
        """Whether the driver has raised an error since the connection was last known to work."""

    @property
    def expired(self) -> bool:
        return self._expires is not None and self._clock() >= self._expires

    def use_ended(self) -> None:
        """A scope, or a request, is over: the next use starts with a look, where that was asked for."""
        self.check_due = self._health_checks

    def found_usable(self) -> None:
        self.check_due = False
        self.failed = False
