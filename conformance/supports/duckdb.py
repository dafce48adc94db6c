"""What the kit has to know of DuckDB, for any backend on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import duckdb

__all__ = ["DuckDBSupport"]


class DuckDBSupport:
    """Each check gets a new file; a process opens a file once, so its sessions are those of the check's own process."""

    def database(self, mapping: Mapping[str, Any], workdir: Path) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({**mapping, "NAME": str(workdir / "conformance.duckdb")})

    def witness(self, mapping: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(mapping["NAME"])

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        with closing(self.witness(mapping)) as witness:
            row = witness.execute("SELECT count FROM duckdb_connection_count()").fetchone()
        return int(row[0]) - 1 if row is not None else 0

    def terminate(self, _mapping: Mapping[str, Any], connection: Any) -> None:
        connection.close()

    def sleep_statement(self, seconds: float) -> str:
        rows = int(seconds * 30_000)  # DuckDB has no sleep; the square of this many rows takes about so long
        return f"SELECT sum(a.range * b.range) FROM range({rows}) a, range({rows}) b"
