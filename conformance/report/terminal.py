"""The report a person reads: a table of groups, then each finding with what to do."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ..register import GROUPS
from ..verdict import Result, Verdict

if TYPE_CHECKING:
    from ..summary import Report

__all__ = ["Terminal"]

# A glyph and a word beside each colour: colour alone says nothing to many, and NO_COLOR takes it away.
STYLES = {
    Verdict.PASS: ("green", "✓", "pass"),
    Verdict.FAIL: ("bold red", "✗", "fail"),
    Verdict.WARNING: ("yellow", "!", "warning"),
    Verdict.COULD_NOT_RUN: ("magenta", "?", "could not run"),
    Verdict.NOT_APPLICABLE: ("dim", "-", "not applicable"),
    Verdict.WAIVED: ("cyan", "~", "waived"),
    Verdict.EXPECTED_FAILURE: ("cyan", "x", "expected failure"),
    Verdict.UNEXPECTED_PASS: ("bold red", "✓!", "unexpected pass"),
    Verdict.BLOCKED: ("magenta", "⊘", "blocked"),
    Verdict.HANG: ("bold red", "∞", "hang"),
    Verdict.CRASH: ("bold red", "☠", "crash"),
    Verdict.KIT_ERROR: ("bold red", "#", "kit error"),
    Verdict.STRICT: ("yellow", "§", "strict"),
    Verdict.INHERITED: ("dim", "^", "inherited"),
}
QUIET = {Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.BLOCKED, Verdict.INHERITED}


class Terminal:
    """Draws progress while the checks run and the findings when they are done. Writes to standard output."""

    def __init__(self, *, verbose: bool = False) -> None:
        width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 120
        self.console = Console(width=width, highlight=False, soft_wrap=not sys.stdout.isatty())
        self._verbose = verbose
        self._progress: Progress | None = None

    def started(self, count: int, target: str) -> None:
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._progress.add_task(escape(target), total=count)
        self._progress.start()

    def result(self, result: Result) -> None:
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])
        if self._verbose:
            self.console.print(f"{_label(result.verdict)} {result.id} {escape(result.observed)}")

    def finished(self, report: Report) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if report.results:
            self.console.print(_table(report))
            for result in report.results:
                if result.verdict not in QUIET:
                    self._finding(result)
            self._blocked(report)
            self._inherited(report)
        style = "bold green" if report.exit_code == 0 else "bold red"
        self.console.print(f"[{style}]{escape(report.headline)}[/]")

    def _finding(self, result: Result) -> None:
        keyword = "" if result.keyword == "MUST" else f" ({result.keyword})"
        self.console.print(f"\n{_label(result.verdict)} [bold]{result.id}[/]{keyword} {escape(result.requirement)}")
        rows = [
            ("observed", result.observed),
            ("where", result.where),
            ("inherited", f"from {result.inherited}, not your code" if result.inherited else ""),
            ("do", result.advice),
            ("again", result.rerun),
        ]
        for name, text in rows:
            if text:
                self.console.print(f"    {name:<10}{escape(text)}")
        if result.details and (self._verbose or result.verdict in {Verdict.HANG, Verdict.CRASH, Verdict.KIT_ERROR}):
            self.console.print(escape(_indented(result.details)))

    def _blocked(self, report: Report) -> None:
        by_root: dict[str, list[str]] = {}
        for result in report.results:
            for root in result.blocked_by:
                by_root.setdefault(root, []).append(result.id)
        for root, ids in by_root.items():
            self.console.print(f"\n{_label(Verdict.BLOCKED)} by {root}: {', '.join(ids)}")

    def _inherited(self, report: Report) -> None:
        found = [result for result in report.results if result.verdict is Verdict.INHERITED]
        if found:
            bases = ", ".join(sorted({result.inherited for result in found}))
            self.console.print(f"\n{_label(Verdict.INHERITED)} from {escape(bases)}, not your code, not counted:")
            for result in found:
                self.console.print(f"    {result.id} {escape(result.requirement)}")


def _label(verdict: Verdict) -> str:
    style, glyph, word = STYLES[verdict]
    return f"[{style}]{glyph} {word}[/]"


def _indented(text: str, lines: int = 60) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines()[-lines:])


def _table(report: Report) -> Table:
    shown = [verdict for verdict in Verdict if report.counts[verdict]]
    table = Table(title=escape(report.target), title_justify="left")
    table.add_column("group")
    for verdict in shown:
        table.add_column(f"{STYLES[verdict][1]} {STYLES[verdict][2]}", justify="right", style=STYLES[verdict][0])
    for group in GROUPS.values():
        results = [result for result in report.results if result.group == group]
        if results:
            counts = [sum(result.verdict is verdict for result in results) for verdict in shown]
            table.add_row(group, *(str(count) if count else "" for count in counts))
    return table
