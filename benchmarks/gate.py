"""Measure a row, judge its targets, and measure a miss again before it counts."""

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum

from benchmarks.measure import Sampler, Samples, interleave, quiet_collector
from benchmarks.ratios import Spread, paired_ratio, spread
from benchmarks.rows import NotInstalledError, Row, Target

ATTEMPTS = 4
"""One measurement and three more for a miss, each with twice the rounds of the one before."""


class Verdict(StrEnum):
    """What became of a target."""

    OK = "ok"
    MISS = "MISS"
    NOT_GATED = "missed, not gated"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True)
class Run:
    """The samples of one measurement, and the peers it had to do without."""

    samples: Samples
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A target beside what was measured for it."""

    target: Target
    verdict: Verdict
    gated: bool
    value: Spread | None

    @property
    def fails(self) -> bool:
        """Whether the gate stops here: a missing peer is no better than a missed target."""
        return self.gated and self.verdict in (Verdict.MISS, Verdict.NOT_INSTALLED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row, its last run, and the verdicts on it."""

    row: Row
    run: Run
    judged: tuple[Judged, ...]
    attempts: int = 1

    @property
    def fails(self) -> bool:
        """Whether a gated target of the row is missed or cannot be judged."""
        return any(judged.fails for judged in self.judged)

    @property
    def worth_repeating(self) -> bool:
        """Whether another run could change the verdict; it cannot install a peer."""
        return any(judged.verdict is Verdict.MISS for judged in self.judged)


Measure = Callable[[Row, int], Run]


def measure_row(row: Row, rounds: int, rng: random.Random) -> Run:
    """Open every contender of the row that is there, and sample them in turns."""
    missing: dict[str, str] = {}
    samplers: dict[str, Sampler] = {}
    with ExitStack() as stack:
        for name in row.contenders:
            try:
                samplers[name] = stack.enter_context(row.source(name))
            except NotInstalledError as absence:
                missing[name] = str(absence)
        stack.enter_context(quiet_collector())
        return Run(interleave(samplers, rounds, rng), missing)


def judge(row: Row, run: Run, version: tuple[int, int]) -> Outcome:
    """Hold every target of the row against one run."""
    judged = tuple(judge_target(target, run, gated=target.gated_on(version)) for target in row.targets)
    return Outcome(row, run, judged)


def judge_target(target: Target, run: Run, *, gated: bool) -> Judged:
    """Hold one target against one run; the median decides."""
    if target.needs & run.missing.keys():
        return Judged(target, Verdict.NOT_INSTALLED, gated, None)
    value = measured(target, run.samples)
    if target.met_by(value.median):
        return Judged(target, Verdict.OK, gated, value)
    return Judged(target, Verdict.MISS if gated else Verdict.NOT_GATED, gated, value)


def measured(target: Target, samples: Samples) -> Spread:
    """What a target limits: a paired ratio, or a quantity by itself."""
    if target.under is None:
        return spread(samples[target.over])
    return paired_ratio(samples, target.over, target.under)


def judge_with_repeats(
    row: Row, rounds: int, version: tuple[int, int], measure: Measure, attempts: int = ATTEMPTS
) -> Outcome:
    """Measure until nothing is missed or the attempts are used up; only the freshest run counts."""
    rounds = row.rounds or rounds
    outcome = judge(row, measure(row, rounds), version)
    while outcome.worth_repeating and outcome.attempts < attempts:
        rounds *= 2
        again = judge(row, measure(row, rounds), version)
        outcome = replace(again, attempts=outcome.attempts + 1)
    return outcome
