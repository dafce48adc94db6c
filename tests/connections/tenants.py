"""Two settings that give one alias different databases, and backends whose every step a test can plan."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from typing_extensions import override

from backend_sdk import Connections, ConnectionSettings, SupportsReset
from tests.core.fakes import Driver, FakeBackend, FakeConnection


class TenantBackend(SupportsReset[FakeConnection], FakeBackend, vendor="tenant"):
    @override
    def reset(self, connection: FakeConnection, /) -> None:
        connection.do("reset")


def tenant(driver: Driver, name: str = "a", **settings: Any) -> TenantBackend:
    return TenantBackend(ConnectionSettings(engine="tenant", name=name, **settings), driver)


def sqlite_tenant(folder: Path, name: str, **settings: object) -> dict[str, object]:
    """Settings of a database that holds one row: its own name."""
    path = folder / f"{name}.db"
    if not path.exists():
        import sqlite3

        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("CREATE TABLE tenant (name TEXT)")
            raw.execute("INSERT INTO tenant VALUES (?)", (name,))
    return {"ENGINE": "sqlite3", "NAME": str(path), **settings}


def tenant_name(handler: Connections, alias: str = "default") -> str:
    """Who answers there."""
    with handler[alias].cursor() as cursor:
        cursor.execute("SELECT name FROM tenant")
        return str(cursor.fetchone()[0])
