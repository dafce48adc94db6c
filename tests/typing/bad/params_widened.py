"""Params are invariant: whoever sees ``object`` would hand any object to the method that takes them."""

import sqlite3

from backend_sdk import Backend
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor, SQLiteSettings

backend: Backend[object, sqlite3.Connection, SQLiteCursor]
backend = SQLiteBackend(SQLiteSettings(name=":memory:"))  # error: [assignment] has type "SQLiteBackend
