"""A backend around one driver's is given another's."""

import sqlite3

from backend_sdk import ConnectionSettings, DelegatingBackend
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings


class Timed(DelegatingBackend[ConnectionSettings, str, sqlite3.Connection, sqlite3.Cursor]):
    """Around backends whose params are text."""


timed = Timed(SQLiteBackend(SQLiteSettings(name=":memory:")))  # error: [arg-type] incompatible type "SQLiteBackend
