"""Right backends, and what the kit said of each when it was looked at by hand.

``python -m tests.kit.zoo`` writes the verdicts anew, of all or of those named; read the difference before committing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conformance import Report, check

FOLDER = Path(__file__).with_name("zoo_verdicts")

BACKENDS = {
    "baseline": "conformance.selftest.baseline:BaselineBackend",
    "dbapi_plain": "tests.kit.dbapi.backends:PlainBackend",
    "dbapi_words": "tests.kit.dbapi.backends:WordsBackend",
    "duckdb": "examples.duckdb_backend.duckdb_backend",
    "pooled-sqlalchemy-sqlite3": "pooled_sqlalchemy",
    "pooled-sqlite3": "pooled",
    "pooled-tiny": "conformance.selftest.pooled:PooledBaseline",
    "sqlite3": "sqlite3",
    "structural": "examples.structural_backend",
}

ON_SERVERS = {
    "dbapi_pymysql": "tests.kit.dbapi.backends:PyMySQLBackend",
    "mysql": "reference_backends.mysql",
    "pg8000": "examples.pg8000_backend",
    "pooled-mysql": "pooled",
    "pooled-postgresql": "pooled",
    "pooled-psycopg": "pooled_psycopg",
    "pooled-sqlalchemy-mysql": "pooled_sqlalchemy",
    "pooled-sqlalchemy-postgresql": "pooled_sqlalchemy",
    "postgis": "reference_backends.postgis",
    "postgresql": "reference_backends.postgresql",
    "spatialite": "reference_backends.spatialite",
}
"""What needs a service of the machine. Their test supports find or start the server."""

SETTINGS: dict[str, dict[str, object]] = {
    "pooled-mysql": {"OPTIONS": {"wraps": "mysql"}},
    "pooled-postgresql": {"OPTIONS": {"wraps": "postgresql"}},
    "pooled-psycopg": {"OPTIONS": {"wraps": "postgresql"}},
    "pooled-sqlalchemy-mysql": {"OPTIONS": {"wraps": "mysql"}},
    "pooled-sqlalchemy-postgresql": {"OPTIONS": {"wraps": "postgresql"}},
    "pooled-sqlalchemy-sqlite3": {"OPTIONS": {"wraps": "sqlite3"}},
    "pooled-sqlite3": {"OPTIONS": {"wraps": "sqlite3"}},
    "postgis": {"OPTIONS": {"create_extension": True}},
    "spatialite": {"OPTIONS": {"driver": "pysqlite3"}},  # an interpreter's own sqlite3 may load no extensions
}


def verdicts(report: Report) -> str:
    """The headline, and one line per requirement; what was observed may hold a time or a name made for the run."""
    lines = [f"# {report.headline}", *(f"{result.id} {result.verdict.value}" for result in report.results)]
    return "\n".join(lines) + "\n"


def recorded(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text()


def main() -> None:
    targets = BACKENDS | ON_SERVERS
    for name in sys.argv[1:] or targets:
        (FOLDER / f"{name}.txt").write_text(verdicts(check(targets[name], SETTINGS.get(name), timeout=60)))


if __name__ == "__main__":
    main()
