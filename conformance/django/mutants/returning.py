"""A right engine that gives its connection back to the pool after each query, and the wrong ones about that."""

from __future__ import annotations

from typing import Any

from . import pooled

__all__ = ["DatabaseWrapper"]


class ReturningCursor:
    """The cursor whose end is the lease's end."""

    def __init__(self, wrapper: Any, cursor: Any) -> None:
        self._wrapper = wrapper
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def __enter__(self) -> ReturningCursor:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._cursor.close()
        self._wrapper.give_back_early()


class DatabaseWrapper(pooled.DatabaseWrapper):
    def _cursor(self, name: Any = None) -> Any:
        is_first = self.connection is None
        cursor = super()._cursor(name)
        return ReturningCursor(self, cursor) if is_first and not self.in_atomic_block else cursor

    def give_back_early(self) -> None:
        """Where a transaction is open, the connection stays until it has ended."""
        if self.connection is not None and not self.in_atomic_block and self.autocommit:
            self.close()
