"""What all results together say: counts, the level reached, the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from .register import LEVELS
from .verdict import Result, Verdict

if TYPE_CHECKING:
    from .register import Requirement

__all__ = ["ExitCode", "Report"]


class ExitCode(IntEnum):
    """The first that applies, in this order."""

    INTERRUPTED = 130
    KIT_ERROR = 4
    USAGE = 2
    VIOLATIONS = 1
    COULD_NOT_RUN = 3
    NOTHING_SELECTED = 5
    CONFORMANT = 0


@dataclass(frozen=True)
class Report:
    """The outcome for one target. ``problem`` is set where it could not be judged at all."""

    target: str
    asked_level: int
    results: Sequence[Result]
    register: Mapping[str, Requirement]
    problem: str = ""
    refused: ExitCode | None = None
    partial: bool = False
    """Only some requirements were selected: no level can be said to be reached."""

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(result.verdict for result in self.results)

    @property
    def applicable(self) -> int:
        return sum(result.verdict is not Verdict.NOT_APPLICABLE for result in self.results)

    @property
    def executed(self) -> int:
        return sum(result.verdict.was_executed for result in self.results)

    @property
    def violations(self) -> list[Result]:
        return [result for result in self.results if result.verdict.is_violation]

    @property
    def exit_code(self) -> ExitCode:
        if self.refused is not None:
            return self.refused
        counts = self.counts
        if counts[Verdict.KIT_ERROR]:
            return ExitCode.KIT_ERROR
        if self.violations:
            return ExitCode.VIOLATIONS
        if counts[Verdict.COULD_NOT_RUN] or counts[Verdict.BLOCKED]:
            return ExitCode.COULD_NOT_RUN
        return ExitCode.CONFORMANT if self.results else ExitCode.NOTHING_SELECTED

    @property
    def level_reached(self) -> int | None:
        """The highest level that, with all below it, has no violation and nothing undone, or None."""
        reached = None
        if self.partial:
            return None
        for level in range(self.asked_level + 1):
            here = [result for result in self.results if self.register[result.id].level == level]
            if any(not _is_settled(result) for result in here):
                break
            reached = level
        return reached

    @property
    def headline(self) -> str:
        if self.problem:
            return f"{self.target}: not judged: {self.problem}"
        if not self.results:
            return f"{self.target}: nothing selected"
        ran = f"{self.executed} of {self.applicable} applicable requirements executed"
        return f"{self.target}: {self._verdict()}; {self._level()}; {ran}"

    def _level(self) -> str:
        if self.partial:
            return "a selection only"
        reached = self.level_reached
        return "no level reached" if reached is None else f"level {reached} ({LEVELS[reached]}) reached"

    def _verdict(self) -> str:
        violations = len(self.violations)
        if violations:
            return f"{violations} violation{'s' if violations > 1 else ''}"
        return {
            ExitCode.CONFORMANT: "no violation" if self.partial else f"conformant at level {self.asked_level}",
            ExitCode.KIT_ERROR: "the kit failed",
            ExitCode.COULD_NOT_RUN: "not everything could be tried",
        }.get(self.exit_code, "not judged")


def _is_settled(result: Result) -> bool:
    undone = {Verdict.COULD_NOT_RUN, Verdict.BLOCKED, Verdict.KIT_ERROR}
    return not result.verdict.is_violation and result.verdict not in undone
