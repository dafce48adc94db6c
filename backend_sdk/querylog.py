"""A bounded log of the statements that ran, as an execute hook. Parameters are counted, never kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from .guard import ExecuteContext

__all__ = ["QueryLog", "QueryRecord"]


class QueryRecord(NamedTuple):
    """One execution: the statement as given, how many parameters (None: cannot tell), seconds, the error's class."""

    alias: str
    sql: object
    params: int | None
    many: bool
    seconds: float
    error: str | None


class QueryLog:
    """Keeps the last *limit* executions in ``records``, oldest first."""

    def __init__(self, limit: int = 1000, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.records: deque[QueryRecord] = deque(maxlen=limit)
        self._clock = clock

    def __call__(
        self, execute: Callable[..., Any], sql: object, params: object, many: bool, context: ExecuteContext, /
    ) -> object:
        started, failure = self._clock(), None
        try:
            return execute(sql, params, many, context)
        except BaseException as error:
            failure = type(error).__name__  # the error itself would keep every frame below alive
            raise
        finally:
            seconds = self._clock() - started
            self.records.append(QueryRecord(context.alias, sql, _count(params), many, seconds, failure))


def _count(params: object) -> int | None:
    if params is None:
        return 0
    return len(params) if isinstance(params, Sized) else None
