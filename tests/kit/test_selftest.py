"""Every wrong backend of the catalogue is caught by its requirement, for its reason; the right one by none."""

from __future__ import annotations

import pytest

from conformance import Verdict, check
from conformance.checks import load_register
from conformance.selftest.catalogue import BASELINE, run_catalogue
from conformance.selftest.mutants import load_mutants

GROUPS = sorted({entry.kills.partition("-")[0] for entry in load_mutants()})


@pytest.mark.parametrize("group", GROUPS)
def test_the_wrong_backends_of_the_group_are_caught(group: str) -> None:
    kills = {entry.kills for entry in load_mutants() if entry.kills.startswith(f"{group}-")}
    outcomes = run_catalogue(load_register(), only=kills)  # two at once: some wait for what never comes
    escaped = [(outcome.mutant.target, outcome.why_not) for outcome in outcomes if not outcome.killed]
    assert escaped == []
    assert outcomes


def test_the_baseline_passes_everything_that_applies() -> None:
    report = check(BASELINE)
    undone = [result for result in report.results if result.verdict not in {Verdict.PASS, Verdict.NOT_APPLICABLE}]
    assert undone == []
    assert report.level_reached == 3


def test_in_the_full_cross_no_failure_hides_another() -> None:
    # AllowsBlocking fails SET-001 too, on which ASYNC-001 stands: with a user that one is blocked, here it speaks.
    outcomes = run_catalogue(load_register(), only={"ASYNC-001"}, full=True)
    blocking = next(outcome for outcome in outcomes if outcome.mutant.target.endswith(":AllowsBlocking"))
    assert blocking.killed, blocking.why_not
    assert "SET-001" in blocking.also
