"""Settings are declared anew: they are the backend's own frozen copy, and typed by the class's arguments."""

from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings


class MyBackend(SQLiteBackend):
    settings: SQLiteSettings  # error: [misc] Cannot override final attribute "settings"
