"""The outcomes as a plain table and as data."""

import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.gate import Judged, Outcome, Verdict
from benchmarks.ratios import Spread, paired_ratio, spread
from benchmarks.rows import GATED_VERSION

HEADINGS = ("row", "contender", "each", "ratio [quartiles]", "target", "measured", "verdict")
Line = tuple[str, ...]


def environment() -> dict[str, str]:
    """What the figures depend on and may be said of the machine."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        **peers.versions(),
    }


def heading() -> str:
    """The line above the table."""
    facts = ", ".join(f"{name} {value}" for name, value in environment().items())
    return f"Paired ratios of CPU time in one run: {facts}"


def closing(outcomes: Sequence[Outcome], *, gate: bool) -> str:
    """The line below the table: what the targets say all together."""
    failed = [outcome.row.name for outcome in outcomes if outcome.fails]
    result = f"Missed: {', '.join(failed)}." if failed else "No gated target is missed."
    if any(not judged.gated for outcome in outcomes for judged in outcome.judged):
        wanted = ".".join(map(str, GATED_VERSION))
        result += f" The targets for speed and size are for Python {wanted}; here they are shown and not gated."
    return result if gate else f"{result} (Not a gate: one run, nothing measured again.)"


def table(outcomes: Sequence[Outcome]) -> str:
    """All outcomes in columns as wide as they need to be."""
    lines = [HEADINGS, *(line for outcome in outcomes for line in outcome_lines(outcome))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def outcome_lines(outcome: Outcome) -> Iterator[Line]:
    """One line for each contender, and a further one for each further target on it."""
    for number, name in enumerate(outcome.row.contenders):
        row_name = outcome.row.name if number == 0 else ""
        judged = [entry for entry in outcome.judged if entry.target.over == name]
        first, *others = [judged_cells(entry, outcome) for entry in judged] or [("", "", stated(outcome, name))]
        yield (row_name, name, quantity(outcome, name), ratio(outcome, name), *first)
        yield from (("", "", "", "", *cells) for cells in others)


def judged_cells(judged: Judged, outcome: Outcome) -> Line:
    """The target, what it came to, and the verdict with the measurements it took."""
    value = "" if judged.value is None else figure(judged.value.median)
    again = f" ({outcome.attempts} runs)" if outcome.attempts > 1 else ""
    return (str(judged.target), value, f"{judged.verdict}{again}")


def stated(outcome: Outcome, name: str) -> str:
    """The verdict on a contender without a target."""
    return str(Verdict.NOT_INSTALLED) if name in outcome.run.missing else ""


def quantity(outcome: Outcome, name: str) -> str:
    """The median of a contender's own samples."""
    if name in outcome.run.missing:
        return "-"
    return f"{spread(outcome.run.samples[name]).median:,.0f} {outcome.row.unit}"


def ratio(outcome: Outcome, name: str) -> str:
    """A contender against the row's baseline."""
    found = ratio_to_baseline(outcome, name)
    if found is None:
        return ""
    return f"{found.median:.2f} [{found.low:.2f}-{found.high:.2f}]"


def ratio_to_baseline(outcome: Outcome, name: str) -> Spread | None:
    """The ratio where there is one to form."""
    baseline, samples = outcome.row.baseline, outcome.run.samples
    if baseline is None or baseline == name or not {baseline, name} <= samples.keys():
        return None
    return paired_ratio(samples, name, baseline)


def figure(value: float) -> str:
    """Three decimals for a ratio, so that a miss by a hair does not look like a hit."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def as_data(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The outcomes for a machine to read."""
    return {"environment": environment(), "rows": [outcome_data(outcome) for outcome in outcomes]}


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """One row as data."""
    return {
        "row": outcome.row.name,
        "summary": outcome.row.summary,
        "unit": outcome.row.unit,
        "attempts": outcome.attempts,
        "contenders": {name: contender_data(outcome, name) for name in outcome.row.contenders},
        "targets": [judged_data(judged) for judged in outcome.judged],
    }


def contender_data(outcome: Outcome, name: str) -> dict[str, Any]:
    """One contender's spread and its ratio to the baseline."""
    if name in outcome.run.missing:
        return {"missing": outcome.run.missing[name]}
    each = spread(outcome.run.samples[name])
    return {
        "rounds": len(outcome.run.samples[name]),
        "each": spread_data(each),
        "ratio": spread_data(ratio_to_baseline(outcome, name)),
    }


def judged_data(judged: Judged) -> dict[str, Any]:
    """One target as data."""
    return {
        "target": str(judged.target),
        "verdict": str(judged.verdict),
        "gated": judged.gated,
        "measured": spread_data(judged.value),
    }


def spread_data(value: Spread | None) -> dict[str, float] | None:
    """A spread as data."""
    return None if value is None else {"low": value.low, "median": value.median, "high": value.high}
