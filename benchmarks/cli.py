"""``python -m benchmarks``: measure, print, and with ``--gate`` refuse a miss."""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import pool_rows, postgresql_rows, report, scope_rows, sqlite_rows
from benchmarks.gate import ATTEMPTS, Outcome, judge_with_repeats, measure_row
from benchmarks.pool_peers import server
from benchmarks.rows import NotInstalledError, Row
from conformance.servers.process import ServerError

ROWS = (*sqlite_rows.ROWS, *scope_rows.ROWS, *postgresql_rows.ROWS, *pool_rows.ROWS)
SERVED = (
    *(row for row in scope_rows.ROWS if row.name.startswith("pg_")),
    *postgresql_rows.ROWS,
    *(row for row in pool_rows.ROWS if row.source is not pool_rows.null),
)
"""The rows that need a server."""

SEED = 20240131
"""Of the order within the rounds; any would do, the same one makes two runs alike."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed as ratios against peers in the same run."
    )
    names = [row.name for row in ROWS]
    add = options.add_argument
    add("--gate", action="store_true", help="measure misses again, and exit with 1 if one remains")
    add("--json", type=Path, metavar="PATH", help="also write the figures to this file")
    add("--rounds", type=positive, default=40, help="rounds of a row, where it does not say otherwise")
    add("--select", action="append", metavar="ROW", choices=names, help="only this row; may be repeated")
    add("--list", action="store_true", help="name the rows and their targets, and measure nothing")
    return options


def positive(text: str) -> int:
    """A number of rounds that leaves something to judge."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


def main(arguments: Sequence[str]) -> int:
    """Run the rows that were asked for; 1 if the gate is closed."""
    options = parser().parse_args(arguments)
    rows = [row for row in ROWS if not options.select or row.name in options.select]
    if options.list:
        print("\n".join(describe(row) for row in rows))
        return 0
    absent = not_available(rows)
    rows = [row for row in rows if row.name not in absent]
    outcomes = run(rows, options.rounds, attempts=ATTEMPTS if options.gate else 1)
    print(report.heading(), report.table(outcomes), report.closing(outcomes, gate=options.gate), sep="\n")
    for name, reason in absent.items():
        print(f"NOT AVAILABLE, so not measured and no pass: {name} ({reason})")
    if options.json:
        data = {**report.as_data(outcomes), "not_available": absent}
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return int(options.gate and (bool(absent) or any(outcome.fails for outcome in outcomes)))


def not_available(rows: Sequence[Row]) -> dict[str, str]:
    """The rows whose server cannot be started here, and why; the server is started for the others."""
    served = [row.name for row in rows if row in SERVED]
    try:
        if served:
            server()
    except (NotInstalledError, ServerError) as absence:
        return dict.fromkeys(served, str(absence))
    return {}


def describe(row: Row) -> str:
    """A row of the list."""
    targets = "".join(f"\n    {target}" for target in row.targets)
    return f"{row.name}: {row.summary}\n    {', '.join(row.contenders)}{targets}"


def run(rows: Sequence[Row], rounds: int, attempts: int) -> list[Outcome]:
    """Measure and judge the rows, naming each on standard error as it begins."""
    rng = random.Random(SEED)
    outcomes: list[Outcome] = []
    for row in rows:
        print(f"{row.name} ...", file=sys.stderr)
        outcomes.append(judge_with_repeats(row, rounds, sys.version_info[:2], partial(measure_row, rng=rng), attempts))
    return outcomes
