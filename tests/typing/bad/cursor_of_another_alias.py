"""The alias's cursor is another driver's than the function takes."""

import sqlite3
from typing import TypedDict

from backend_sdk import Connections, DatabaseWrapper
from reference_backends.sqlite3 import SQLiteCursor


class Other:
    pass


class Shape(TypedDict):
    default: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]


def take(cursor: Other) -> None: ...


dbs = Connections({"default": "sqlite://:memory:"}).typed(Shape)
take(dbs["default"].cursor())  # error: [arg-type] expected "Other"
