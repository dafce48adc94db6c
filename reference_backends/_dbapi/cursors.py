"""What stands around a driver's cursor where the driver leaves something to do with each statement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["AroundCursor"]


class AroundCursor:
    """Hands everything on to a driver's cursor; what it executes goes through `_through`."""

    def __init__(self, cursor: Any) -> None:
        self.__dict__["_cursor"] = cursor

    @abstractmethod
    def _through(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """``call(*args, **options)``, with whatever has to be done around it."""
        raise NotImplementedError

    def _run(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        result = self._through(call, args, options)
        return self if result is self._cursor else result  # or the caller's chain would leave this cursor behind

    def execute(self, *args: Any, **options: Any) -> Any:
        return self._run(self._cursor.execute, args, options)

    def executemany(self, *args: Any, **options: Any) -> Any:
        return self._run(self._cursor.executemany, args, options)

    def callproc(self, *args: Any, **options: Any) -> Any:
        return self._run(self._cursor.callproc, args, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)
