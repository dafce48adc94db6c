"""What a row of the table is: contenders, how to sample them, and the targets they must meet."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.measure import Sampler

GATED_VERSION = (3, 13)
"""The targets were set on this version; elsewhere the ratios are shown and not gated."""

Source = Callable[[str], AbstractContextManager[Sampler]]
"""Opens one contender by name; raises ``NotInstalledError`` for a peer that is not there."""


class NotInstalledError(Exception):
    """A peer that this row names cannot be imported here."""


class WrongResultError(Exception):
    """A contender did not do the work that the row measures."""


@dataclass(frozen=True, slots=True)
class Target:
    """A limit on a ratio of two contenders or, with ``under`` left out, on one quantity."""

    over: str
    under: str | None
    limit: float
    at_least: bool = False
    every_version: bool = False

    @property
    def contender(self) -> str:
        """On whose line of the table the verdict stands."""
        return self.over

    @property
    def needs(self) -> frozenset[str]:
        """The contenders without which the target cannot be judged."""
        return frozenset({self.over} if self.under is None else {self.over, self.under})

    def met_by(self, value: float) -> bool:
        """Whether the measured value keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def gated_on(self, version: tuple[int, int]) -> bool:
        """Whether a miss counts on this Python."""
        return self.every_version or version == GATED_VERSION

    def __str__(self) -> str:
        subject = self.over if self.under is None else f"{self.over}/{self.under}"
        return f"{subject} {'>=' if self.at_least else '<='} {self.limit:g}"


def at_most(over: str, under: str, limit: float) -> Target:
    """``over`` costs at most ``limit`` times what ``under`` costs."""
    return Target(over, under, limit)


def at_least(over: str, under: str, limit: float) -> Target:
    """``over`` costs at least ``limit`` times what ``under`` costs."""
    return Target(over, under, limit, at_least=True)


def no_more_than(contender: str, limit: float, *, every_version: bool = False) -> Target:
    """The quantity itself, which is not a time, stays within ``limit``."""
    return Target(contender, None, limit, every_version=every_version)


@dataclass(frozen=True, slots=True)
class Row:
    """One operation, done by several contenders."""

    name: str
    summary: str
    contenders: tuple[str, ...]
    source: Source
    baseline: str | None = "raw"
    targets: tuple[Target, ...] = ()
    unit: str = "ns"
    rounds: int | None = None
    """How many rounds this row takes, where the usual number is too few or too many."""
