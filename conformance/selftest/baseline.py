"""A right backend on the standard library's sqlite3, with every ability that SQLite can have.

The wrong backends of the catalogue are this one with one defect each. The kit cannot use the reference
backend: it must not import it, and a mistake in that one must not hide a mistake in the kit.
"""

from __future__ import annotations

import gc
import sqlite3
from typing import Any, ClassVar, Self, TypedDict

from pydantic import model_validator
from typing_extensions import override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    ConnectionSettings,
    ErrorClasses,
    Options,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsCancel,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken,
    SupportsPing,
    SupportsReadOnly,
    SupportsReset,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

__all__ = ["BaselineBackend", "BaselineCursor", "BaselineParams", "BaselineSettings"]


class BaselineOptions(Options, frozen=True):
    timeout: float = 5.0
    cache_size: int = -2000


class BaselineSettings(ConnectionSettings, frozen=True):
    refused: ClassVar[tuple[str, ...]] = ("user", "password", "host", "port", "time_zone")
    options: BaselineOptions = BaselineOptions()

    @model_validator(mode="after")
    def _only_what_it_has(self) -> Self:
        for name in self.refused:
            value = self.reveal_password() if name == "password" else getattr(self, name)
            if value:
                raise ValueError(f"{name.upper()} means nothing here; leave it out")
        return self


class BaselineParams(TypedDict):
    database: str
    timeout: float
    isolation_level: None
    check_same_thread: bool


class BaselineConnection(sqlite3.Connection):
    """Ends the statements that are under way: each keeps its lock past the close, while its cursor is held."""

    @override
    def close(self) -> None:
        for held in gc.get_referrers(self):
            if isinstance(held, sqlite3.Cursor):
                try:
                    sqlite3.Cursor.close(held)
                except sqlite3.ProgrammingError:  # the connection is closed already
                    pass
        super().close()


class BaselineCursor(CheckedCursor, sqlite3.Cursor, also=("executescript",)):
    __slots__ = ("_guard",)


class BaselineBackend(
    SupportsPing[sqlite3.Connection],
    SupportsIsBroken[sqlite3.Connection],
    SupportsTransactionStatus[sqlite3.Connection],
    SupportsReset[sqlite3.Connection],
    SupportsTransactions[sqlite3.Connection],
    SupportsAutocommit[sqlite3.Connection],
    SQLSavepoints[sqlite3.Connection],
    SupportsTransactionalDDL,
    SupportsReadOnly[sqlite3.Connection],
    SupportsCancel[sqlite3.Connection],
    SupportsServerVersion[sqlite3.Connection],
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[BaselineSettings, BaselineParams, sqlite3.Connection, BaselineCursor],
    vendor="baseline",
):
    test_support = "conformance.supports.sqlite:SQLiteSupport"

    def __init_subclass__(cls, *, vendor: str = "baseline", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    @override
    def get_connection_params(self) -> BaselineParams:
        return {
            "database": self.settings.name,
            "timeout": self.settings.options.timeout,
            "isolation_level": None,
            "check_same_thread": False,
        }

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        return sqlite3.connect(**params, factory=BaselineConnection)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON").close()
        connection.execute(f"PRAGMA cache_size = {self.settings.options.cache_size}").close()

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return connection.cursor(BaselineCursor)

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1").close()

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        try:
            return connection.total_changes < 0
        except sqlite3.ProgrammingError:
            return True

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION if connection.in_transaction else TransactionStatus.IDLE

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()
        connection.execute("PRAGMA query_only = 0").close()  # first: it would refuse the rest
        query = "SELECT type, name FROM sqlite_temp_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        for kind, name in connection.execute(query).fetchall():
            connection.execute(f'DROP {kind} temp."{name}"')

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("BEGIN").close()

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        connection.isolation_level = None if autocommit else "DEFERRED"

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def set_read_only(self, connection: sqlite3.Connection, read_only: bool, /) -> None:
        connection.execute(f"PRAGMA query_only = {int(read_only)}").close()

    @override
    def cancel(self, connection: sqlite3.Connection, /) -> None:
        connection.interrupt()

    @override
    def server_version(self, connection: sqlite3.Connection, /) -> tuple[int, ...]:
        return sqlite3.sqlite_version_info

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return sqlite3

    @property
    @override
    def threadsafety(self) -> int:
        return sqlite3.threadsafety
