"""What mypy and pyright say about files, as data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TYPING = ROOT / "tests" / "typing"

# The other Pythons' environments have no pyright, and the checkers' answer does not depend on who runs them. On
# 3.11 a checker that is missing is a failure.
checked_here = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) and find_spec("pyright") is None,
    reason="types are checked once, on Python 3.11",
)


class Finding(NamedTuple):
    """An error that a checker reports; *path* is relative to the root."""

    path: str
    line: int
    code: str
    message: str


def mypy_says(paths: list[Path]) -> list[Finding]:
    """The errors of mypy in *paths*, not in what they import, with the project's own configuration.

    Without a cache: two runs at once share nothing.
    """
    arguments = ["--output", "json", "--cache-dir", os.devnull, *map(str, paths)]
    reports = [json.loads(line) for line in run("mypy", arguments).splitlines() if line]
    return [
        Finding(_relative(report["file"]), report["line"], report["code"], report["message"])
        for report in reports
        if report["severity"] == "error" and ROOT / report["file"] in paths
    ]


def pyright_says() -> list[Finding]:
    """The errors of pyright in ``good`` and ``bad``, which a configuration file beside them names."""
    arguments = ["--outputjson", "--pythonpath", sys.executable, "--project", str(TYPING)]
    report: dict[str, Any] = json.loads(run("pyright", arguments))
    return [
        Finding(_relative(found["file"]), found["range"]["start"]["line"] + 1, found.get("rule", ""), found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]


def run(module: str, arguments: list[str]) -> str:
    """What *module* prints. Raises `AssertionError` when it could not do its work."""
    # Pyright would ask the package index for a newer version of itself.
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    # 1 is "errors found", but also Python's answer when the module is missing: then nothing is printed.
    assert done.returncode == 0 or (done.returncode == 1 and done.stdout.strip()), (
        f"{module} did not run; is the dev extra installed?\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def _relative(path: str) -> str:
    return (ROOT / path).relative_to(ROOT).as_posix()
