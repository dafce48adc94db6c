"""Django's own engines on real servers, under every Django, and what the kit said of each when it was looked at.

``python -m tests.kit.django.zoo [ENGINE ...]`` writes the verdicts anew, in the environments that have each Django;
read the difference before committing it. A finding without a reason below is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from conformance.servers.mysql import URL_VARIABLE as MYSQL
from conformance.servers.mysql import mysql_url
from conformance.servers.postgresql import URL_VARIABLE as POSTGRESQL
from conformance.servers.postgresql import postgresql_url

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).with_name("verdicts")
VERSIONS = ("4.2", "5.2", "6.1")
GIS = ["django.contrib.gis"]


class Engine(NamedTuple):
    """An ENGINE of Django's with its settings file, the Djangos that have it, and the modules that it needs."""

    target: str
    settings: Mapping[str, Any] = MappingProxyType({})
    versions: tuple[str, ...] = VERSIONS
    needs: tuple[str, ...] = ()


def options(**given: object) -> dict[str, Any]:
    return {"DATABASES": {"default": {"OPTIONS": given}}}


def bootstrap(name: str) -> dict[str, Any]:
    return {"CONFORMANCE": {"bootstrap": f"tests.kit.django.{name}"}}


ENGINES = {
    "sqlite3": Engine("django:django.db.backends.sqlite3"),
    "spatialite": Engine(
        "django:django.contrib.gis.db.backends.spatialite",
        {"INSTALLED_APPS": GIS, **bootstrap("pysqlite3_as_sqlite3")},
        needs=("pysqlite3",),
    ),
    "mysql": Engine("django:django.db.backends.mysql", needs=("MySQLdb",)),
    "mysql_pymysql": Engine("django:django.db.backends.mysql", bootstrap("pymysql_as_mysqldb"), needs=("pymysql",)),
    "postgresql": Engine("django:django.db.backends.postgresql", needs=("psycopg",)),
    "postgresql_pool": Engine(
        "django:django.db.backends.postgresql",
        options(pool={"min_size": 1, "max_size": 4, "timeout": 3.0}),
        versions=("5.2", "6.1"),
        needs=("psycopg_pool",),
    ),
    "postgis": Engine("django:django.contrib.gis.db.backends.postgis", {"INSTALLED_APPS": GIS}, needs=("psycopg",)),
}

REASONS = {
    "DJLIFE-008": "Django's connect() keeps the connection when init_connection_state() raises",
    "DJTHR-005": "Django's cursor() opens the connection before it looks at the thread",
    "DJGC-002": "Django's wrapper and its helpers hold one another: a cycle",
    "DJGC-003": "confirmed (native_pool.py): Django's pool holds a bound method of the wrapper that made it",
    "DJPOOL-002": "confirmed (native_pool.py): a cursor works on after its connection went back to the pool",
    "DJPOOL-003": "Django's pool resets nothing but the transaction",
    "DJPOOL-005": "confirmed (native_pool.py): a connection dropped without close() never comes back to the pool",
    "DJPOOL-009": "Django's pools are kept by alias",
    "DJOPT-010": "confirmed (native_pool.py): with assume_role Django's pool asks itself while it opens",
    "DJOPT-007 spatialite": "confirmed (spatialite.py): mod_spatialite's busy time-out of 5 s undoes OPTIONS timeout",
}
"""Why each finding is right, by requirement (and engine). What breaks Django's own contract was confirmed by a script
of ``confirmed/`` that does not use the kit."""

GOOD = {"pass", "not-applicable"}


class NotInstalledError(Exception):
    """The environment, or something in it, is not there."""


def python(version: str) -> Path:
    found = ROOT / f".venv-django-{version}" / "bin" / "python"
    if not found.exists():
        raise NotInstalledError(f"no environment with Django {version}; make it: python scripts/django_environments.py")
    return found


def judged(name: str, version: str) -> dict[str, Any]:
    """The report on an engine, as JSON has it."""
    engine, interpreter = ENGINES[name], python(version)
    for module in engine.needs:
        if subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            raise NotInstalledError(f"{module} is not installed in {interpreter.parents[1].name}: make services")
    with tempfile.TemporaryDirectory() as folder:
        settings, report = Path(folder) / "settings.json", Path(folder) / "report.json"
        settings.write_text(json.dumps(dict(engine.settings)))
        done = subprocess.run(
            [interpreter, "-m", "conformance", engine.target, "--settings", settings, "--report", f"json:{report}",
             "--timeout", "60"],
            cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if not report.exists():
            raise AssertionError(done.stdout + done.stderr)
        target: dict[str, Any] = json.loads(report.read_text())["targets"][0]
    return target


def verdicts(name: str, report: dict[str, Any]) -> str:
    """The headline, and one line per requirement, with the reason for each finding."""
    return "\n".join([f"# {report['headline']}", *_lines(name, report["results"])]) + "\n"


def _lines(name: str, results: list[dict[str, Any]]) -> Iterator[str]:
    for result in results:
        line = f"{result['id']} {result['verdict']}"
        if result["verdict"] not in GOOD:
            reason = REASONS.get(f"{result['id']} {name}") or REASONS.get(result["id"])
            line += f": {reason or 'NO REASON: ' + result['observed']}"
        yield line


def recorded(name: str, version: str) -> str:
    return file(name, version).read_text()


def file(name: str, version: str) -> Path:
    return FOLDER / f"{name}-{version}.txt"


def main(names: Sequence[str]) -> None:
    with ExitStack() as stack:
        os.environ[POSTGRESQL] = stack.enter_context(postgresql_url())
        os.environ[MYSQL] = stack.enter_context(mysql_url())
        for name in names or ENGINES:
            for version in ENGINES[name].versions:
                text = verdicts(name, judged(name, version))
                file(name, version).write_text(text)
                print(f"{version} {text.splitlines()[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
