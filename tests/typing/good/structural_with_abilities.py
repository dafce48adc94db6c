# pyright: strict
"""Structural, with abilities: their protocols alone are inherited; arguments may be named as one likes."""

import sqlite3
from dataclasses import dataclass

from typing_extensions import assert_type, override

from backend_sdk import ConnectionSettings, DatabaseWrapper, SupportsConfigure, SupportsPing, SupportsReset


@dataclass(frozen=True)
class Plain(SupportsConfigure[sqlite3.Connection], SupportsPing[sqlite3.Connection], SupportsReset[sqlite3.Connection]):
    settings: ConnectionSettings

    def get_connection_params(self) -> str:
        return self.settings.name

    def get_new_connection(self, database: str) -> sqlite3.Connection:
        return sqlite3.connect(database, isolation_level=None)

    def init_connection_state(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA foreign_keys = ON")

    def _cursor(self, db: sqlite3.Connection) -> sqlite3.Cursor:
        return db.cursor()

    @override
    def configure_connection(self, db: sqlite3.Connection) -> None:
        db.create_function("shout", 1, str.upper)

    @override
    def ping(self, db: sqlite3.Connection) -> None:
        db.execute("SELECT 1")

    @override
    def reset(self, db: sqlite3.Connection) -> None:
        db.rollback()


wrapper = DatabaseWrapper(Plain(ConnectionSettings(name=":memory:")))
assert_type(wrapper.connection, sqlite3.Connection)
assert_type(wrapper.cursor(), sqlite3.Cursor)
wrapper.close()
