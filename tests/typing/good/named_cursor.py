# pyright: strict
"""psycopg with rows as dicts, server-side cursors, and a password that expires."""

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.sql import Composed
from typing_extensions import TypedDict, assert_type, override

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    CredentialSource,
    DatabaseWrapper,
    SupportsCancel,
    SupportsExpiringCredentials,
    SupportsNamedCursor,
)

Connection = psycopg.Connection[DictRow]
Cursor = psycopg.Cursor[DictRow]


class Params(TypedDict):
    host: str
    dbname: str
    password: str


class DictBackend(
    SupportsCancel[Connection],
    SupportsExpiringCredentials,
    SupportsNamedCursor[Connection, Cursor],
    BaseBackend[ConnectionSettings, Params, Connection, Cursor],
    vendor="postgresql",
):
    @override
    def get_connection_params(self) -> Params:
        settings = self.settings
        return {"host": settings.host, "dbname": settings.name, "password": settings.reveal_password()}

    @override
    def get_new_connection(self, params: Params, /) -> Connection:
        conninfo = make_conninfo(host=params["host"], dbname=params["dbname"], password=params["password"])
        return Connection.connect(conninfo, autocommit=True, row_factory=dict_row)

    @override
    def init_connection_state(self, connection: Connection, /) -> None:
        connection.execute("SET TIME ZONE 'UTC'")

    @override
    def _cursor(self, connection: Connection, /) -> Cursor:
        return connection.cursor()

    @override
    def cancel(self, connection: Connection, /) -> None:
        connection.cancel()

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        return frozenset({"password"})

    @override
    def named_cursor(self, connection: Connection, name: str, /) -> Cursor:
        return psycopg.ServerCursor(connection, name)


settings = ConnectionSettings(host="db", name="app", password=CredentialSource("iam:app", lambda: "fresh"))
wrapper = DatabaseWrapper(DictBackend(settings))


def first(statement: Composed) -> dict[str, Any] | None:
    assert_type(wrapper.connection, psycopg.Connection[DictRow])
    assert_type(wrapper.named_cursor("big"), psycopg.Cursor[DictRow])
    return assert_type(wrapper.cursor(), psycopg.Cursor[DictRow]).execute(statement).fetchone()
