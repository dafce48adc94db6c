"""Runs the catalogue of wrong backends and says which escaped, and which requirement nothing would catch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..register import Requirement
from ..runner import Refused, Selection, run_checks
from ..verdict import Result, Verdict
from .mutants import Mutant, load_mutants

__all__ = ["BASELINE", "Outcome", "run_catalogue", "uncovered"]

BASELINE = "conformance.selftest.baseline:BaselineBackend"
CAUGHT = {Verdict.FAIL, Verdict.WARNING, Verdict.CRASH, Verdict.HANG}


@dataclass(frozen=True)
class Outcome:
    """One mutant's end. ``killed``: caught by its requirement, for its reason; ``also``: what else complained."""

    mutant: Mutant
    killed: bool
    why_not: str
    also: tuple[str, ...]


def run_catalogue(
    register: Mapping[str, Requirement],
    *,
    full: bool = False,
    only: Iterable[str] = (),
    timeout: float = 5.0,
    jobs: int = 2,
    report: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Each mutant against its own group (*full*: against everything), net of what the baseline itself fails."""
    wanted = set(only)
    mutants = [entry for entry in load_mutants() if not wanted or entry.kills in wanted]
    every = tuple(entry.id for entry in register.values() if entry.check is not None and entry.profile == "sdk")
    failing = {
        result.id for result in run_checks(BASELINE, register, Selection(every, jobs=jobs)) if result.verdict in CAUGHT
    }

    def run(entry: Mutant) -> Outcome:
        ids = every if full else _with_needed(register, entry.kills)
        outcome = _judge(entry, _results(entry, register, ids, timeout), failing)
        report(outcome)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, mutants))


def _with_needed(register: Mapping[str, Requirement], id: str) -> tuple[str, ...]:
    """The ID's whole group; what it stands on elsewhere is taken as given."""
    group = id.partition("-")[0]
    return tuple(entry.id for entry in register.values() if entry.id.startswith(f"{group}-") and entry.check)


def _results(
    entry: Mutant, register: Mapping[str, Requirement], ids: tuple[str, ...], timeout: float
) -> dict[str, Result]:
    try:
        results = run_checks(entry.target, register, Selection(ids, timeout=timeout, jobs=1))
    except Refused as refused:
        return {entry.kills: Result(entry.kills, Verdict.CRASH, observed=str(refused))}
    return {result.id: result for result in results}


def _judge(entry: Mutant, results: Mapping[str, Result], failing: set[str]) -> Outcome:
    also = tuple(id for id, result in results.items() if result.verdict in CAUGHT and id != entry.kills)
    result = results.get(entry.kills)
    if entry.kills in failing:
        return Outcome(entry, False, f"{entry.kills} fails on the untouched baseline: it kills nothing", also)
    if result is None:
        return Outcome(entry, False, f"there is no check {entry.kills}", also)
    if result.verdict not in CAUGHT:
        return Outcome(entry, False, f"{entry.kills} said {result.verdict.value}: {result.observed}", also)
    said = f"{result.observed}\n{result.details}\n{result.where}"
    if entry.says not in said:
        return Outcome(entry, False, f"caught, but not for its reason: {result.observed!r} lacks {entry.says!r}", also)
    return Outcome(entry, True, "", also)


def uncovered(register: Mapping[str, Requirement]) -> list[str]:
    """The MUSTs with a check that no wrong backend tries."""
    tried = {entry.kills for entry in load_mutants()}
    return [
        entry.id for entry in register.values() if entry.keyword == "MUST" and entry.check and entry.id not in tried
    ]
