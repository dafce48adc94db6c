# pyright: strict
"""Abilities before the base class, each with its method; savepoints in the standard's words."""

import sqlite3
from typing import TypedDict

from typing_extensions import assert_type, override

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    DatabaseWrapper,
    ErrorClasses,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsClose,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

Connection = sqlite3.Connection


class LiteParams(TypedDict):
    database: str


class AbleBackend(
    SupportsAutocommit[Connection],
    SupportsClose[Connection],
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken[Connection],
    SQLSavepoints[Connection],
    SupportsServerVersion[Connection],
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions[Connection],
    SupportsTransactionStatus[Connection],
    BaseBackend[ConnectionSettings, LiteParams, Connection, sqlite3.Cursor],
    vendor="able",
):
    @override
    def get_connection_params(self) -> LiteParams:
        return {"database": self.settings.name}

    @override
    def get_new_connection(self, params: LiteParams, /) -> Connection:
        return sqlite3.connect(**params, isolation_level=None)

    @override
    def init_connection_state(self, connection: Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @override
    def _cursor(self, connection: Connection, /) -> sqlite3.Cursor:
        return connection.cursor()

    @override
    def set_autocommit(self, connection: Connection, autocommit: bool, /) -> None:
        connection.isolation_level = None if autocommit else "DEFERRED"

    @override
    def close_connection(self, connection: Connection, /) -> None:
        connection.close()

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return sqlite3

    @override
    def is_broken(self, connection: Connection, /) -> bool:
        return False

    @override
    def server_version(self, connection: Connection, /) -> tuple[int, ...]:
        return sqlite3.sqlite_version_info

    @property
    @override
    def threadsafety(self) -> int:
        return 1

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def begin(self, connection: Connection, /) -> None:
        connection.execute("BEGIN")

    @override
    def commit(self, connection: Connection, /) -> None:
        connection.commit()

    @override
    def rollback(self, connection: Connection, /) -> None:
        connection.rollback()

    @override
    def transaction_status(self, connection: Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION if connection.in_transaction else TransactionStatus.IDLE


wrapper = DatabaseWrapper(AbleBackend(ConnectionSettings(name=":memory:")))
assert_type(wrapper.connection, Connection)
assert_type(wrapper.cursor(), sqlite3.Cursor)
assert_type(wrapper.server_version, tuple[int, ...])
with wrapper.atomic(), wrapper.atomic():
    wrapper.cursor().execute("CREATE TABLE t (a)")
wrapper.close()
