"""A backend's settings are its own for life."""

from typing import Any

from backend_sdk import Backend, ConnectionSettings
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings


def rename(backend: Backend[Any, Any, Any]) -> None:
    backend.settings = ConnectionSettings(name="other.db")  # error: [misc] Property "settings"


rename(SQLiteBackend(SQLiteSettings(name=":memory:")))
# raises: AttributeError: no setter
