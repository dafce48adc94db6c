"""One run of Django's tests, with or without our pool, and what became of each test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend_sdk import parse_url
from conformance.servers.mysql import mysql_url
from conformance.servers.postgresql import postgresql_url

__all__ = ["ENGINES", "Broken", "Outcomes", "Run", "run", "server_of"]

INSIDE = Path(__file__).parent / "inside"
ROOT = Path(__file__).resolve().parents[2]
SERVERS: Mapping[str, Any] = {"postgresql": postgresql_url, "mysql": mysql_url}
ENGINES = ("sqlite3", "sqlite3-memory", "postgresql", "mysql")
"""SQLite's test databases are files, which are pooled; in memory, as Django has them, they must be left alone."""

Outcomes = dict[str, tuple[str, str]]


class Broken(Exception):
    """A run ended without results."""


@dataclass(frozen=True)
class Run:
    outcomes: Outcomes
    seconds: float

    def summary(self) -> str:
        kinds = [outcome for outcome, _ in self.outcomes.values()]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        return f"{len(kinds)} tests in {self.seconds:.0f} s: {counts}"


@contextmanager
def server_of(engine: str) -> Iterator[dict[str, Any]]:
    """The place of a server of our own, in Django's form; nothing for SQLite."""
    start = SERVERS.get(engine)
    if start is None:
        yield {}
        return
    with start() as url:
        found = parse_url(url)
        yield {key: found[key] for key in ("USER", "PASSWORD", "HOST", "PORT") if key in found}


def run(
    interpreter: Path, source: Path, engine: str, *, pooled: bool, place: Mapping[str, Any], folder: Path,
    modules: Sequence[str] = (), parallel: int = 1,
) -> Run:  # fmt: skip
    """Run Django's *modules* (all of them, if none is named). Raises `Broken`, with the end of what was printed."""
    names: dict[str, str | None] = {"suite": "test_suite", "suite_other": "test_suite_other"}
    if engine.startswith("sqlite3"):
        names = {key: None if engine.endswith("memory") else str(folder / f"{name}.db") for key, name in names.items()}
    plan = {"engine": engine.partition("-")[0], "pooled": pooled, "database": dict(place), "test_names": names}
    results = folder / "outcomes.json"
    results.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "DJANGO_SUITE_PLAN": json.dumps(plan),
        "DJANGO_SUITE_RESULTS": str(results),
        "PYTHONPATH": os.pathsep.join(map(str, (source, INSIDE, ROOT))),
        "TMPDIR": str(folder),
    }
    options = ["--settings=pooled_suite_settings", "--noinput", f"--parallel={parallel}", "-v0"]
    began = time.monotonic()
    done = subprocess.run(
        [str(interpreter), "-W", "ignore", "runtests.py", *options, *modules],
        cwd=source / "tests", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # A run that breaks off half way writes down what it has; unittest counts only at the end of a whole one.
    if not results.exists() or not re.search(r"^Ran \d+ tests? in", done.stderr, re.MULTILINE):
        raise Broken(f"Django's test runner ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    outcomes = {test: (found[0], found[1]) for test, found in json.loads(results.read_text()).items()}
    return Run(outcomes, time.monotonic() - began)
