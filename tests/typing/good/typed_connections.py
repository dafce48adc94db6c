"""An application's own table of databases: each alias has its driver's types."""

import sqlite3
from typing import TypedDict, assert_type

from backend_sdk import Connections, DatabaseWrapper, ModelDatabase, Scope, Scopes, connection, route_connections
from reference_backends.sqlite3 import SQLiteCursor


class Shape(TypedDict):
    default: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]
    replica: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]


handler = Connections({"default": "sqlite://:memory:", "replica": "sqlite://:memory:"})
dbs = handler.typed(Shape)

assert_type(dbs["default"].cursor(), SQLiteCursor)
assert_type(dbs["replica"].connection, sqlite3.Connection)


@route_connections({"default": "replica"}, connections=handler)
def name_of(alias: str) -> str:
    return handler[alias].alias


assert_type(name_of("default"), str)
assert name_of("default") == "replica"


class Repository:
    db = ModelDatabase("shop.Order", connections=handler)


assert_type(Repository().db.alias, str)
assert Repository().db.connection is handler["default"]

with Scopes(handler)() as scope:
    assert_type(scope, Scope)
    assert dbs["default"].alias == "default"
    assert scope.bind(name_of)("default") == "replica"

assert isinstance(connection, DatabaseWrapper)
