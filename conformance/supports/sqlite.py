"""What the kit has to know of SQLite, for any backend on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

__all__ = ["SQLiteSupport"]


class SQLiteSupport:
    """Each check gets a new file; sessions are open descriptors of it; the witness is the driver's own connection."""

    def database(self, mapping: Mapping[str, Any], workdir: Path) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({**mapping, "NAME": str(workdir / "conformance.sqlite3")})

    def witness(self, mapping: Mapping[str, Any]) -> sqlite3.Connection:
        return sqlite3.connect(mapping["NAME"], isolation_level=None)

    def sessions(self, mapping: Mapping[str, Any]) -> int:
        wanted = os.path.realpath(mapping["NAME"])
        folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
        return sum(os.path.realpath(os.path.join(folder, name)) == wanted for name in os.listdir(folder))

    def terminate(self, _mapping: Mapping[str, Any], connection: sqlite3.Connection) -> None:
        connection.close()

    def sleep_statement(self, seconds: float) -> str:
        steps = int(seconds * 20_000_000)  # SQLite has no sleep; this many rows take about so long
        return (
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {steps}) SELECT count(*) FROM c"
        )
