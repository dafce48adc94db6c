"""The same promises over a driver that can neither share a connection nor notice its loss by itself."""

from __future__ import annotations

from typing import Any

import pytest

from backend_sdk import DatabaseWrapper
from conformance.servers.process import wait_until
from reference_backends.mysql import MySQLBackend, MySQLSettings
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from reference_backends.pooled_sqlalchemy import SQLAlchemyPooledBackend

POOLED: dict[str, Any] = {"ours": PooledBackend, "sqlalchemy": SQLAlchemyPooledBackend}


def value(wrapper: DatabaseWrapper[Any, Any], query: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


@pytest.mark.parametrize("kind", sorted(POOLED))
def test_a_session_is_handed_on_clean_and_a_killed_one_is_replaced(mysql_url: str, kind: str) -> None:
    settings = MySQLSettings.from_url(mysql_url).derive(time_zone="+01:00")
    backend = POOLED[kind](MySQLBackend(settings), PoolOptions(max_size=1), pools=Pools(background=False))
    first, second = DatabaseWrapper(backend), DatabaseWrapper(backend)
    session = value(first, "SELECT CONNECTION_ID()")
    for statement in ("SET @mine = 1", "SET time_zone = '+05:00'", "SELECT GET_LOCK('held', 0)", "BEGIN"):
        with first.cursor() as cursor:
            cursor.execute(statement)
    first.close()
    assert value(second, "SELECT CONNECTION_ID()") == session
    assert value(second, "SELECT @mine") is None
    assert value(second, "SELECT @@time_zone") == "+01:00"
    assert value(second, "SELECT IS_FREE_LOCK('held')") == 1
    assert value(second, "SELECT @@in_transaction") == 0
    second.close()
    bare = DatabaseWrapper(MySQLBackend(settings))
    with bare.cursor() as cursor:
        cursor.execute(f"KILL {session}")
    left = f"SELECT count(*) FROM information_schema.processlist WHERE id = {session}"
    wait_until(lambda: True if value(bare, left) == 0 else None, "its end", timeout=10)  # the answer comes before it
    bare.close()
    assert value(first, "SELECT CONNECTION_ID()") != session
    first.close()
    backend.pool.close()
