"""The alias is not one of the application's table."""

# raises: UnknownAliasError: did you mean 'default'?

import sqlite3
from typing import TypedDict

from backend_sdk import Connections, DatabaseWrapper
from reference_backends.sqlite3 import SQLiteCursor


class Shape(TypedDict):
    default: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]


dbs = Connections({"default": "sqlite://:memory:"}).typed(Shape)
dbs["defualt"].cursor()  # error: [typeddict-item] has no key "defualt"
