"""What type checkers, and Python itself, say to the author of a backend.

`tests/typing/good` is what an author would write: it type-checks, and runs. Each file in
`tests/typing/bad` is wrong in one way and says how at the line itself::

    # error: [mypy's code] part of mypy's message
    # raises: ErrorClass: part of its message (where Python refuses it too)
    # silent in pyright: why (where it is)
"""

from __future__ import annotations

import re
import runpy
import sqlite3
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from backend_sdk import BaseBackend, ConnectionSettings, SupportsPing
from tests.typing.checkers import ROOT, TYPING, Finding, checked_here, mypy_says, pyright_says, run

GOOD = sorted((TYPING / "good").glob("*.py"))
BAD = sorted((TYPING / "bad").glob("*.py"))


@dataclass(frozen=True)
class Wrong:
    """A file in ``bad``, as its own marks describe it."""

    path: Path
    line: int
    code: str
    fragment: str
    raises: tuple[str, str] | None
    silent_in_pyright: bool

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@cache
def wrong(path: Path) -> Wrong:
    text = path.read_text()
    [mark] = re.finditer(r"# error: \[([\w-]+)\] (\S.*)$", text, re.MULTILINE)  # exactly one
    line = text.count("\n", 0, mark.start()) + 1
    raises = re.search(r"^# raises: (\w+): (\S.*)$", text, re.MULTILINE)
    silent = re.search(r"^# silent in pyright: \S", text, re.MULTILINE)
    return Wrong(path, line, mark[1], mark[2], (raises[1], raises[2]) if raises else None, silent is not None)


def complaints_about_mypy(findings: list[Finding], bad: list[Wrong]) -> list[str]:
    """What differs from one error for each wrong file, as it is marked, and none elsewhere."""
    expected = {file.name: file for file in bad}
    told = [
        f"unexpected: {found.path}:{found.line}: {found.message} [{found.code}]"
        for found in findings
        if (file := expected.get(found.path)) is None
        or (file.line, file.code) != (found.line, found.code)
        or file.fragment not in found.message
    ]
    for file in bad:
        number = sum(found.path == file.name for found in findings)
        if number != 1:
            told.append(f"{file.name}:{file.line}: {number} errors instead of one")
    return told


def complaints_about_pyright(findings: list[Finding], bad: list[Wrong]) -> list[str]:
    """What differs from an error at each marked line, unless it is silent there, and none elsewhere."""
    marked = {(file.name, file.line) for file in bad if not file.silent_in_pyright}
    found_at = {(found.path, found.line) for found in findings}
    return [f"unexpected: {path}:{line}" for path, line in sorted(found_at - marked)] + [
        f"nothing said: {path}:{line}" for path, line in sorted(marked - found_at)
    ]


@checked_here
def test_mypy_accepts_right_backends_and_names_the_one_error_of_each_wrong_one() -> None:
    complaints = complaints_about_mypy(mypy_says([*GOOD, *BAD]), [wrong(path) for path in BAD])
    assert not complaints, "\n".join(complaints)


@checked_here
def test_pyright_accepts_right_backends_and_finds_each_error_it_can_see() -> None:
    complaints = complaints_about_pyright(pyright_says(), [wrong(path) for path in BAD])
    assert not complaints, "\n".join(complaints)


def test_checker_that_is_missing_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="no_such_checker did not run"):
        run("no_such_checker", [])


def test_ten_right_and_twenty_five_wrong_backends_are_kept() -> None:
    assert len(GOOD) >= 10
    assert len(BAD) >= 25


MARKED = Wrong(ROOT / "bad.py", 3, "override", "is wrong", None, silent_in_pyright=False)
AS_MARKED = Finding("bad.py", 3, "override", "this is wrong")


def test_one_error_as_marked_is_no_complaint() -> None:
    assert complaints_about_mypy([AS_MARKED], [MARKED]) == []
    assert complaints_about_pyright([AS_MARKED], [MARKED]) == []


@pytest.mark.parametrize(
    "findings",
    [
        pytest.param([], id="no error"),
        pytest.param([AS_MARKED, AS_MARKED], id="the error twice"),
        pytest.param([AS_MARKED, Finding("good.py", 1, "override", "is wrong")], id="an error in a right one"),
        pytest.param([AS_MARKED._replace(line=4)], id="another line"),
        pytest.param([AS_MARKED._replace(code="misc")], id="another code"),
        pytest.param([AS_MARKED._replace(message="something else")], id="another message"),
    ],
)
def test_what_mypy_says_otherwise_is_a_complaint(findings: list[Finding]) -> None:
    assert complaints_about_mypy(findings, [MARKED])


@pytest.mark.parametrize(
    "findings",
    [
        pytest.param([], id="no error"),
        pytest.param([AS_MARKED, Finding("good.py", 1, "", "is wrong")], id="an error in a right one"),
        pytest.param([AS_MARKED._replace(line=4)], id="another line"),
    ],
)
def test_what_pyright_says_otherwise_is_a_complaint(findings: list[Finding]) -> None:
    assert complaints_about_pyright(findings, [MARKED])


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_right_backend_runs(path: Path) -> None:
    if path.stem == "named_cursor":
        pytest.importorskip("psycopg")
    assert runpy.run_path(str(path))


@pytest.mark.parametrize("path", [path for path in BAD if wrong(path).raises], ids=lambda path: path.stem)
def test_wrong_backend_is_refused_at_run_time_at_the_same_line(path: Path) -> None:
    name, fragment = wrong(path).raises or ("", "")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class and text stand in the file
        runpy.run_path(str(path))
    assert type(caught.value).__name__ == name
    assert fragment in str(caught.value)
    lines = [frame.lineno for frame in traceback.extract_tb(caught.tb) if frame.filename == str(path)]
    assert lines[-1] == wrong(path).line


def test_ability_declared_after_the_base_class_without_its_method_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Late declares SupportsPing but does not define ping\(\)"):

        class Late(
            BaseBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor],
            SupportsPing[sqlite3.Connection],
            vendor="late",
        ): ...
