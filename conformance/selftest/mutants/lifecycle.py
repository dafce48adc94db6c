"""Wrong in the lifecycle."""

from __future__ import annotations

import sqlite3

from typing_extensions import override

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams
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
