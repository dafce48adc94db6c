"""Wrong in the lifecycle."""

from __future__ import annotations

import socket
import sqlite3
from typing import Any, ClassVar, cast

from typing_extensions import override

from backend_sdk import ErrorClasses, SupportsClose, TransactionStatus

from ...provoke import caught
from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant


@mutant("LIFE-001", says="no such table")
class OpensSomethingElse(BaselineBackend):
    """Opens another database than the settings name."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None)


@mutant("LIFE-001", says="which has no")
class CursorIsNone(BaselineBackend):
    """_cursor forgets to return."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        BaselineCursor(connection)
        return None  # type: ignore[return-value]  # the defect


@mutant("LIFE-007", says="already exists")
class InitOnce(BaselineBackend):
    """init_connection_state cannot be repeated."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("CREATE TEMP TABLE settings_seen (id INTEGER)").close()


@mutant("LIFE-008", says="'in transaction'")
class LeavesTransaction(BaselineBackend):
    """init_connection_state begins a transaction and leaves it open."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            connection.execute("BEGIN").close()


@mutant("LIFE-009", says="got the same connection")
class OneConnectionForAll(BaselineBackend):
    """get_new_connection hands out one connection for all."""

    _kept: dict[str, sqlite3.Connection] = {}  # noqa: RUF012 - the defect: state shared by all instances

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        if params["database"] not in self._kept:
            self._kept[params["database"]] = super().get_new_connection(params)
        return self._kept[params["database"]]


@mutant("LIFE-010", says="survived the rollback")
class CursorIsSecondSession(BaselineBackend):
    """_cursor opens a session of its own, as DuckDB's cursor() does."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return BaselineCursor(self.get_new_connection(self.get_connection_params()))


@mutant("LIFE-012", says="opened a different database")
class ReadsItsSettings(BaselineBackend):
    """get_new_connection takes the database from its settings instead of the params."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        return super().get_new_connection({**params, "database": self.settings.name})


@mutant("LIFE-002", says="a step called init_connection_state itself")
class InitializesOnOpen(BaselineBackend):
    """get_new_connection initializes the session as well."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = super().get_new_connection(params)
        self.init_connection_state(connection)
        return connection


@mutant("LIFE-003", says="did sqlite3.connect")
class OpensAtOnce(BaselineBackend):
    """It opens a connection when it is made, to learn the version."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        sqlite3.connect(self.settings.name).close()


@mutant("LIFE-003", says="called get_new_connection")
class OpensWhenMade(BaselineBackend):
    """It calls get_new_connection when it is made, past the eyes of an audit."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        caught(lambda: self.get_new_connection(cast("BaselineParams", {})))


@mutant("LIFE-004", says="still open")
@mutant("LIFE-005", says="still open")
@mutant("LIFE-006", says="still open")
class NeverCloses(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection leaves the session open."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()


@mutant("LIFE-011", says="the same object twice")
class OneCursor(BaselineBackend):
    """_cursor keeps one cursor for each connection."""

    _cursors: ClassVar[dict[int, BaselineCursor]] = {}

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return self._cursors.setdefault(id(connection), BaselineCursor(connection))


@mutant("LIFE-014", says="more files or sockets open")
class LeaksWhenRefused(BaselineBackend):
    """get_new_connection opens a tunnel first, and leaves it open when the connection fails."""

    tunnels: ClassVar[list[socket.socket]] = []

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        tunnel = socket.socket()
        self.tunnels.append(tunnel)
        connection = super().get_new_connection(params)
        tunnel.close()
        return connection


@mutant("LIFE-015", says="instead of the driver's error there was AttributeError")
class ReturnsNone(BaselineBackend):
    """get_new_connection prints what went wrong, and returns None."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            print(f"cannot connect: {error}")
            return None  # type: ignore[return-value]  # the defect


@mutant("LIFE-015", says="instead of the driver's error there was ConnectionError")
class ErrorOfItsOwn(BaselineBackend):
    """get_new_connection replaces the driver's error by one of another kind."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            raise ConnectionError("no database") from error


@mutant("LIFE-016", says="connect() opened 2 sessions")
class InitOpensAnother(BaselineBackend):
    """init_connection_state opens a second connection, for the statements it sends, and keeps it."""

    kept: ClassVar[list[sqlite3.Connection]] = []

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        self.kept.append(self.get_new_connection(self.get_connection_params()))
        super().init_connection_state(self.kept[-1])


@mutant("LIFE-016", says="with one cursor in use there were 2 sessions")
class CursorOpensAnother(BaselineBackend):
    """_cursor opens a session of its own."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return BaselineCursor(self.get_new_connection(self.get_connection_params()))


@mutant("LIFE-017", says="open number 1 called get_connection_params 2 times")
class AsksForParams(BaselineBackend):
    """get_new_connection ignores what it is given and asks for the params itself."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        return super().get_new_connection(self.get_connection_params())


@mutant("LIFE-018", says="the same connection was opened again")
class KeepsTheClosed(BaselineBackend):
    """get_new_connection hands out a kept connection, closed or not."""

    _kept: ClassVar[dict[str, sqlite3.Connection]] = {}

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        return self._kept.setdefault(params["database"], super().get_new_connection(params))


@mutant("LIFE-019", says="init_connection_state returned a list")
class InitReturnsLazily(BaselineBackend):
    """init_connection_state returns its statements instead of running them."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> Any:
        return ["PRAGMA foreign_keys = ON"]


@mutant("LIFE-020", says="ping raised OperationalError")
class PingAsksTheWrongThing(BaselineBackend):
    """ping asks a table that is not there."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1 FROM dual").close()


@mutant("LIFE-020", says="is_broken gave None")
class BrokenSaysNothing(BaselineBackend):
    """is_broken returns nothing for a connection that is well."""

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        if connection.total_changes < 0:
            return True
        return None  # type: ignore[return-value]  # the defect


@mutant("LIFE-020", says="transaction_status gave 'idle'")
class StatusIsText(BaselineBackend):
    """transaction_status returns text."""

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return "idle"  # type: ignore[return-value]  # the defect


@mutant("LIFE-020", says="server_version gave '3.")
class VersionIsText(BaselineBackend):
    """server_version returns text, so 3.9 is newer than 3.40."""

    @override
    def server_version(self, connection: sqlite3.Connection, /) -> tuple[int, ...]:
        return sqlite3.sqlite_version  # type: ignore[return-value]  # the defect


@mutant("LIFE-020", says="threadsafety gave 5")
class SafetyUnheardOf(BaselineBackend):
    """threadsafety is a level that PEP 249 does not have."""

    @property
    @override
    def threadsafety(self) -> int:
        return 5


@mutant("LIFE-020", says="driver_errors gave <class")
class ErrorsAreTheErrorClass(BaselineBackend):
    """driver_errors is the driver's Error instead of what has it."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return sqlite3.DatabaseError  # type: ignore[return-value]  # the defect


@mutant("LIFE-021", says="with AUTOCOMMIT off an insert was committed by itself")
class InitSetsAutocommit(BaselineBackend):
    """init_connection_state switches autocommit on, whatever was asked for."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        super().init_connection_state(connection)
        connection.isolation_level = None
