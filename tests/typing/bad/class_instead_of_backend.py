"""A wrapper takes a backend, not its class."""

from backend_sdk import DatabaseWrapper
from reference_backends.sqlite3 import SQLiteBackend

DatabaseWrapper(SQLiteBackend)  # error: [arg-type] "type[SQLiteBackend
