"""DuckDB for backend-sdk, from its generic PEP 249 backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Self

import duckdb
from duckdb import DuckDBPyConnection
from typing_extensions import override

from backend_sdk import SupportsCancel, SupportsServerVersion, SupportsTransactionalDDL
from reference_backends.dbapi import DBAPIBackend, DBAPISettings


class DuckDBSettings(DBAPISettings, frozen=True):
    """NAME is a path or ``:memory:``; OPTIONS ``connect`` takes ``read_only`` and ``config``."""

    engine: str = "duckdb"
    name: str = ":memory:"

    @property
    @override
    def is_private(self) -> bool:
        return self.name == ":memory:"


class DuckDBCursor:
    """A buffered cursor on the connection itself: DuckDB's own ``cursor()`` is another session.

    The connection holds one result at a time, so the rows are taken at once.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: Iterator[Any] = iter(())
        self.description: Any = None
        self.rowcount = -1
        self.arraysize = 1

    def execute(self, operation: str, params: Sequence[Any] | Mapping[str, Any] | None = None, /) -> Self:
        self._connection.execute(operation, params)
        self.description = self._connection.description
        self._rows = iter(self._connection.fetchall())
        return self

    def executemany(self, operation: str, params: Sequence[Any], /) -> Self:
        self._connection.executemany(operation, params)
        self.description, self._rows = None, iter(())
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, self.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


class DuckDBBackend(
    SupportsTransactionalDDL,
    SupportsCancel[DuckDBPyConnection],
    SupportsServerVersion[DuckDBPyConnection],
    DBAPIBackend[DuckDBSettings, DuckDBPyConnection, DuckDBCursor],
    module="duckdb",
    vendor="duckdb",
):
    begin_statement = "BEGIN TRANSACTION"
    arguments: ClassVar[Mapping[str, str]] = {"name": "database"}

    @override
    def driver_cursor(self, connection: DuckDBPyConnection, /) -> DuckDBCursor:
        return DuckDBCursor(connection)

    @override
    def rollback(self, connection: DuckDBPyConnection, /) -> None:
        try:
            connection.rollback()
        except duckdb.TransactionException:  # none is open
            return

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def cancel(self, connection: DuckDBPyConnection, /) -> None:
        connection.interrupt()

    @override
    def server_version(self, connection: DuckDBPyConnection, /) -> tuple[int, ...]:
        return tuple(int(part) for part in duckdb.__version__.split(".")[:3])
