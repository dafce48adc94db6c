"""Runs the catalogue of wrong backends and says which escaped, and which requirement nothing would catch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..kinds import PROFILES
from ..launch import warm
from ..register import Requirement
from ..runner import Refused, Selection, run_checks
from ..verdict import Result, Verdict
from .listing import listed
from .mutants import Mutant, load_mutants

__all__ = ["BASELINE", "KINDS", "POOLED_BASELINE", "Outcome", "mutants_of", "run_catalogue", "uncovered"]

BASELINE = "conformance.selftest.baseline:BaselineBackend"
POOLED_BASELINE = "conformance.selftest.pooled:PooledBaseline"
KINDS = ("sdk", "dbapi", "django", "django-postgresql")
_BASELINES = {
    "sdk": BASELINE,
    "dbapi": "dbapi:conformance.dbapi.mutants.right:Right",
    "django": "django:conformance.django.mutants.right:DatabaseWrapper",
    "django DJPOOL": "django:conformance.django.mutants.pooled:DatabaseWrapper",
    "django-postgresql": "django:django.db.backends.postgresql",
}
"""What the wrong ones of a kind, or of a group in it, differ from by their one defect."""
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
    kind: str = "sdk",
    full: bool = False,
    only: Iterable[str] = (),
    timeout: float = 15.0,
    jobs: int = 2,
    report: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Each mutant against its own group (*full*: against everything), net of what the baseline itself fails."""
    if full:  # one defect may fail what the expected check stands on too; here each check speaks for itself
        register = {id: replace(entry, after=()) for id, entry in register.items()}
    wanted = set(only)
    mutants = [entry for entry in mutants_of(kind) if not wanted or entry.kills in wanted]
    profiles = PROFILES[kind.partition("-")[0]]
    every = tuple(id for id, entry in register.items() if entry.check is not None and entry.profile in profiles)
    launch = warm()
    tried = tuple({entry.kills for entry in mutants} & register.keys())
    failing = {
        baseline: _caught_by(baseline, register, Selection(tried, jobs=jobs, launch=launch))
        for baseline in {_baseline(kind, entry) for entry in mutants}
    }

    def run(entry: Mutant) -> Outcome:
        ids = every if full else _with_needed(register, entry.kills, kind)
        selection = Selection(ids, timeout=timeout, jobs=1, launch=launch)
        outcome = _judge(entry, _results(entry, register, selection), failing[_baseline(kind, entry)])
        report(outcome)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, mutants))


def mutants_of(kind: str) -> list[Mutant]:
    """The wrong ones of *kind*, whatever of what they need is installed."""
    return load_mutants() if kind == "sdk" else listed(kind)


def _baseline(kind: str, entry: Mutant) -> str:
    if entry.target.startswith("conformance.selftest.mutants.pooled:"):
        return POOLED_BASELINE
    return _BASELINES.get(f"{kind} {entry.kills.partition('-')[0]}", _BASELINES[kind])


def _caught_by(baseline: str, register: Mapping[str, Requirement], selection: Selection) -> set[str]:
    return {result.id for result in run_checks(baseline, register, selection) if result.verdict in CAUGHT}


def _with_needed(register: Mapping[str, Requirement], id: str, kind: str) -> tuple[str, ...]:
    """The ID's whole group; what it stands on elsewhere is taken as given. Of the other kinds the ID alone: their
    targets take longer to load."""
    group = id.partition("-")[0]
    if kind != "sdk":
        return (id,)
    return tuple(entry.id for entry in register.values() if entry.id.startswith(f"{group}-") and entry.check)


def _results(entry: Mutant, register: Mapping[str, Requirement], selection: Selection) -> dict[str, Result]:
    try:
        results = run_checks(entry.target, register, selection)
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
    tried = {entry.kills for kind in KINDS for entry in mutants_of(kind)}
    return [
        entry.id for entry in register.values() if entry.keyword == "MUST" and entry.check and entry.id not in tried
    ]
