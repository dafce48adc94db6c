"""Django's own test suite through `reference_backends.django_pooled` and without it: ``make django-suite``.

    python -m tests.django_suite [--django 5.2] [--engine sqlite3] [--full] [--parallel 2] [MODULE ...]

Ends with 1 where the two differ in a way that ``expected_differences.toml`` does not explain, or explains what is no
longer there; with 3 where something is not to be had.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.servers.process import Unavailable as NoServer

from .comparing import Difference, differences, judge, load_expected, module_of
from .running import ENGINES, Broken, run, server_of
from .source import Unavailable, interpreter_of, unpacked

MODULES = (
    "backends", "transactions", "transaction_hooks", "db_utils", "servers", "select_for_update", "delete",
    "get_or_create", "basic", "queries", "bulk_create", "test_utils", "async",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.django_suite", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--django", default="5.2", help="4.2, 5.2 or 6.1")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="again for another; all but mysql if absent")
    parser.add_argument("--full", action="store_true", help="every module of Django's")
    parser.add_argument("--parallel", type=int, default=1, help="Django's own worker processes")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"instead of {', '.join(MODULES)}")
    asked = parser.parse_args(arguments)
    modules = [] if asked.full else asked.modules or list(MODULES)
    engines = asked.engine or ["sqlite3", "sqlite3-memory", "postgresql"]
    try:
        wrong = compared(asked.django, engines, modules, asked.parallel)
    except (Unavailable, NoServer) as error:
        print(f"cannot run: {error}")
        return 3
    except Broken as error:
        print(error)
        return 1
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def compared(series: str, engines: Sequence[str], modules: Sequence[str], parallel: int) -> list[str]:
    """What is wrong, over all *engines*."""
    interpreter = interpreter_of(series)
    expected = load_expected()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="django_suite_") as name:
        folder = Path(name)
        source = unpacked(interpreter, folder)
        for engine in engines:
            with server_of(engine) as place:
                tried = Trial(interpreter, source, engine, place, folder)
                found = tried.differences(modules, parallel)
                if parallel > 1 and found:
                    found = tried.steady(found)
            judged = judge(found, expected, engine=engine, series=series, modules=modules)
            wrong += [f"{engine}: {line}" for line in judged]
    return wrong


@dataclass(frozen=True)
class Trial:
    """Runs with and without the pool, on one engine."""

    interpreter: Path
    source: Path
    engine: str
    place: Mapping[str, Any]
    folder: Path

    def differences(self, modules: Sequence[str], parallel: int) -> list[Difference]:
        without, pooled = (
            run(self.interpreter, self.source, self.engine, pooled=pooled, place=self.place, folder=self.folder,
                modules=modules, parallel=parallel)
            for pooled in (False, True)
        )  # fmt: skip
        found = differences(without.outcomes, pooled.outcomes)
        print(f"{self.source.name} on {self.engine}, without the pool: {without.summary()}")
        print(f"{self.source.name} on {self.engine}, with it: {pooled.summary()}; {len(found)} different", flush=True)
        return found

    def steady(self, found: Sequence[Difference]) -> list[Difference]:
        """Those of *found* that are there again when their modules are run one test after the other.

        In parallel some of Django's tests depend on which others their process has run before.
        """
        modules = sorted({module_of(difference.test) for difference in found})
        again = self.differences(modules, 1)
        tests = {difference.test for difference in again}
        for difference in found:
            if difference.test not in tests:
                print(f"{self.engine}: not there again: {difference}")
        return again


if __name__ == "__main__":
    sys.exit(main())
