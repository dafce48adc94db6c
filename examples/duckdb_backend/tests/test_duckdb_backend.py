"""DuckDB behind a wrapper."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from duckdb_backend import (  # type: ignore[import-not-found]  # a distribution of its own, not in mypy's path
    DuckDBBackend,
    DuckDBCursor,
    DuckDBSettings,
)

from backend_sdk import DatabaseError, DatabaseWrapper, IntegrityError

Wrapper = DatabaseWrapper[duckdb.DuckDBPyConnection, DuckDBCursor]


@pytest.fixture
def wrapper() -> Iterator[Wrapper]:
    made = DatabaseWrapper(DuckDBBackend(DuckDBSettings()))
    yield made
    made.close()


def test_cursors_run_in_the_wrappers_own_session(wrapper: Wrapper) -> None:
    wrapper.cursor().execute("CREATE TEMP TABLE t (id int)")
    with wrapper.atomic():
        wrapper.cursor().execute("INSERT INTO t VALUES (1)")
        assert wrapper.cursor().execute("SELECT * FROM t").fetchall() == [(1,)]


def test_two_cursors_keep_their_rows_apart(wrapper: Wrapper) -> None:
    first = wrapper.cursor().execute("SELECT unnest([1, 2, 3, 4])")
    assert first.fetchone() == (1,)
    assert wrapper.cursor().execute("SELECT ?", [7]).fetchone() == (7,)
    assert first.fetchmany(2) == [(2,), (3,)]
    assert first.fetchmany(2) == [(4,)]


def test_failed_block_is_undone_with_its_ddl(wrapper: Wrapper) -> None:
    def use() -> None:
        with wrapper.atomic():
            wrapper.cursor().execute("CREATE TABLE t (id int PRIMARY KEY)")
            wrapper.cursor().executemany("INSERT INTO t VALUES (?)", [[1], [1]])

    with pytest.raises(IntegrityError) as caught:
        use()
    assert isinstance(caught.value.__cause__, duckdb.ConstraintException)
    with pytest.raises(DatabaseError, match="does not exist"):
        wrapper.cursor().execute("SELECT * FROM t")


def test_work_is_kept_in_a_file(tmp_path: Path) -> None:
    settings = DuckDBSettings(name=str(tmp_path / "local.duckdb"))
    rows = []
    for statement in ("CREATE TABLE t AS SELECT 42 AS id", "SELECT id FROM t"):
        wrapper: Wrapper = DatabaseWrapper(DuckDBBackend(settings))
        with wrapper.atomic():
            rows.append(wrapper.cursor().execute(statement).fetchone())
        wrapper.close()
    assert rows[1] == (42,)


def test_cancel_ends_the_statement_and_not_the_session(wrapper: Wrapper) -> None:
    wrapper.connect()
    done = threading.Event()

    def cancel() -> None:
        while not done.wait(0.05):  # until it has hit the statement
            wrapper.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(DatabaseError, match="execute on 'default'"):
            wrapper.cursor().execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b")
    finally:
        done.set()
        thread.join()
    assert wrapper.cursor().execute("SELECT 1").fetchone() == (1,)
