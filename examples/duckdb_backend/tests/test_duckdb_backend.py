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

from backend_sdk import (
    DatabaseError,
    DatabaseWrapper,
    ImproperlyConfigured,
    IntegrityError,
    ProgrammingError,
    TransactionManagementError,
    TransactionStatus,
)
from reference_backends.dbapi import DBAPIConnection

Wrapper = DatabaseWrapper[DBAPIConnection[duckdb.DuckDBPyConnection], DuckDBCursor]


@pytest.fixture
def wrapper() -> Iterator[Wrapper]:
    made = DatabaseWrapper(DuckDBBackend(DuckDBSettings()))
    yield made
    made.close()


def status_of(wrapper: Wrapper) -> TransactionStatus:
    return wrapper.backend.transaction_status(wrapper.connection)


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


def test_transaction_that_an_error_has_failed_is_told_and_not_committed_for_nothing(wrapper: Wrapper) -> None:
    wrapper.cursor().execute("CREATE TABLE t (id int PRIMARY KEY)")
    assert status_of(wrapper) is TransactionStatus.IDLE

    def use() -> None:
        with wrapper.atomic():
            assert status_of(wrapper) is TransactionStatus.IN_TRANSACTION
            wrapper.cursor().execute("INSERT INTO t VALUES (1)")
            with pytest.raises(IntegrityError):  # of the errors one that fails the transaction in every version
                wrapper.cursor().execute("INSERT INTO t VALUES (1)")
            assert status_of(wrapper) is TransactionStatus.FAILED

    with pytest.raises(TransactionManagementError, match="takes only a rollback"):
        use()
    assert status_of(wrapper) is TransactionStatus.IDLE
    wrapper.rollback()
    assert wrapper.cursor().execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_without_autocommit_a_transaction_begins_with_the_first_statement(wrapper: Wrapper) -> None:
    wrapper.cursor().execute("CREATE TABLE t (id int)")
    wrapper.set_autocommit(False)
    wrapper.cursor().execute("INSERT INTO t VALUES (1)")
    assert status_of(wrapper) is TransactionStatus.IN_TRANSACTION
    wrapper.rollback()
    wrapper.cursor().execute("INSERT INTO t VALUES (2)")
    wrapper.commit()
    wrapper.set_autocommit(True)
    assert wrapper.cursor().execute("SELECT id FROM t").fetchall() == [(2,)]
    assert status_of(wrapper) is TransactionStatus.IDLE


def test_fetching_without_a_result_is_an_error_as_in_duckdb_itself(wrapper: Wrapper) -> None:
    with pytest.raises(ProgrammingError, match="No open result set"):
        wrapper.cursor().fetchone()


def test_setting_that_duckdb_has_no_use_for_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="HOST changes nothing for DuckDBBackend"):
        DuckDBBackend(DuckDBSettings(host="db"))


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
