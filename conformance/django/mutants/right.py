"""A right engine: Django's sqlite3, and sessions that can be lost. The wrong ones are this with one defect."""

from __future__ import annotations

from typing import Any

from .stock import Database, SQLiteWrapper

__all__ = ["DatabaseWrapper"]


class DatabaseWrapper(SQLiteWrapper):
    connection: Any
    settings_dict: dict[str, Any]

    def is_usable(self) -> bool:
        try:
            self.connection.execute("SELECT 1").close()
        except Database.Error:
            return False
        return True
