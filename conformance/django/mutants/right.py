"""A right engine: Django's sqlite3, and sessions that can be lost. The wrong ones are this with one defect."""

from __future__ import annotations

from typing import Any

from conformance.django.supports import SQLiteEngineSupport

from .stock import Database, SQLiteWrapper

__all__ = ["DatabaseWrapper", "LosableSessions"]


class LosableSessions(SQLiteEngineSupport):
    """Closing the driver's connection is the end of a session here, and is_usable() has to tell."""

    loses_sessions = True

    def __init__(self) -> None:
        super().__init__(Database)


class DatabaseWrapper(SQLiteWrapper):
    test_support = LosableSessions
    connection: Any
    settings_dict: dict[str, Any]

    def is_usable(self) -> bool:
        try:
            self.connection.execute("SELECT 1").close()
        except Database.Error:
            return False
        return True
