"""DuckDB for backend-sdk, from its generic PEP 249 backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Self

import duckdb
from duckdb import DuckDBPyConnection as Connection
from typing_extensions import override

from backend_sdk import SupportsCancel, SupportsTransactionalDDL, SupportsTransactionStatus, TransactionStatus
from reference_backends.dbapi import DBAPIBackend, DBAPIConnection, DBAPISettings


class DuckDBSettings(DBAPISettings, frozen=True):
    """NAME is a path or ``:memory:``; OPTIONS ``connect`` takes ``read_only`` and ``config``."""

    engine: str = "duckdb"
    name: str = ":memory:"


class DuckDBCursor:
    """On the connection itself (DuckDB's ``cursor()`` is another session), which holds one result: so it buffers."""

    arraysize, rowcount = 1, -1
    description: Any = None
    _rows: Iterator[Any] | None = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, operation: str, params: Sequence[Any] | Mapping[str, Any] | None = None, /) -> Self:
        self._connection.execute(operation, params)
        self.description = self._connection.description
        self._rows = iter(self._connection.fetchall())
        return self

    def executemany(self, operation: str, params: Sequence[Any], /) -> None:
        self._connection.executemany(operation, params)
        self.close()

    def fetchone(self) -> Any:
        return next(self._result(), None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [row for _, row in zip(range(self.arraysize if size is None else size), self._result(), strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._result())

    def close(self) -> None:
        self.description = self._rows = None

    def _result(self) -> Iterator[Any]:
        if self._rows is None:
            raise duckdb.InvalidInputException("No open result set")  # as DuckDB's own cursor says it
        return self._rows


class DuckDBBackend(
    SupportsTransactionalDDL,
    SupportsTransactionStatus[DBAPIConnection[Connection]],
    SupportsCancel[DBAPIConnection[Connection]],
    DBAPIBackend[DuckDBSettings, Connection, DuckDBCursor],
    module="duckdb",
    vendor="duckdb",
):
    begin_statement = "BEGIN TRANSACTION"
    arguments: ClassVar[Mapping[str, str]] = {"name": "database"}
    test_support = "conformance.supports.duckdb:DuckDBSupport"

    @override
    def driver_cursor(self, connection: Connection, /) -> DuckDBCursor:
        return DuckDBCursor(connection)

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def transaction_status(self, connection: DBAPIConnection[Connection], /) -> TransactionStatus:
        """By asking, since DuckDB does not tell (it runs in this process): statements outside have one each."""
        try:
            first, second = (connection.driver.execute("SELECT txid_current()").fetchone() for _ in "12")
        except duckdb.TransactionException:  # "Current transaction is aborted (please ROLLBACK)"
            return TransactionStatus.FAILED
        return TransactionStatus.IN_TRANSACTION if first == second else TransactionStatus.IDLE

    @override
    def rollback(self, connection: DBAPIConnection[Connection], /) -> None:
        with suppress(duckdb.TransactionException):  # none is open
            super().rollback(connection)

    @override
    def cancel(self, connection: DBAPIConnection[Connection], /) -> None:
        connection.driver.interrupt()
