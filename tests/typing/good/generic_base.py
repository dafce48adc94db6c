# pyright: strict
"""An author's own base for a family of databases: generic over settings and cursor, fixed in the rest."""

import sqlite3
from typing import Generic, NamedTuple

from typing_extensions import TypeVar, assert_type, override

from backend_sdk import BaseBackend, ConnectionSettings, DatabaseWrapper, SupportsPing


class FamilySettings(ConnectionSettings, frozen=True):
    engine: str = "family"


class FamilyParams(NamedTuple):
    database: str
    timeout: float


SettingsT = TypeVar("SettingsT", bound=FamilySettings, default=FamilySettings)
CursorT = TypeVar("CursorT", bound=sqlite3.Cursor, default=sqlite3.Cursor)


class FamilyBackend(
    SupportsPing[sqlite3.Connection],
    BaseBackend[SettingsT, FamilyParams, sqlite3.Connection, CursorT],
    Generic[SettingsT, CursorT],
    vendor="family",
):
    @override
    def get_connection_params(self) -> FamilyParams:
        return FamilyParams(self.settings.name, 5.0)

    @override
    def get_new_connection(self, params: FamilyParams, /) -> sqlite3.Connection:
        return sqlite3.connect(params.database, timeout=params.timeout)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1")


class ChildSettings(FamilySettings, frozen=True):
    shard: int = 0


class ChildCursor(sqlite3.Cursor):
    pass


class ChildBackend(FamilyBackend[ChildSettings, ChildCursor], vendor="child"):
    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> ChildCursor:
        return connection.cursor(ChildCursor)


class DefaultBackend(FamilyBackend, vendor="default"):
    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


child = ChildBackend(ChildSettings(name=":memory:", shard=3))
assert_type(child.settings.shard, int)
assert_type(DatabaseWrapper(child).cursor(), ChildCursor)
assert_type(DatabaseWrapper(child).connection, sqlite3.Connection)
assert_type(DatabaseWrapper(DefaultBackend(FamilySettings(name=":memory:"))).cursor(), sqlite3.Cursor)
