"""The cursor is the driver's own class, so what it lacks is seen."""

from backend_sdk import DatabaseWrapper
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings

wrapper = DatabaseWrapper(SQLiteBackend(SQLiteSettings(name=":memory:")))
wrapper.cursor().copy("COPY t TO STDOUT")  # error: [attr-defined] "SQLiteCursor" has no attribute "copy"
