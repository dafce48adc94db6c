"""A second session, beside the engine's."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["Witness"]


class Witness:
    """A second session by the driver's own means; each read is of the moment."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, sql: str) -> None:
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
        finally:
            cursor.close()
        with contextlib.suppress(Exception):  # one that is in autocommit may refuse
            self.connection.commit()

    def scalar(self, sql: str) -> Any:
        with contextlib.suppress(Exception):
            self.connection.rollback()
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
            return cursor.fetchone()[0]
        finally:
            cursor.close()

    def close(self) -> None:
        self.connection.close()
