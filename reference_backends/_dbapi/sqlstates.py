"""PEP 249's error classes by SQLSTATE, for a driver that raises one class for all.

Source: the SQL standard's SQLSTATE classes; PEP 249, "Exceptions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from .cursors import AroundCursor

__all__ = ["SortingCursor", "sorting"]

_KINDS = {
    "08": "OperationalError",  # connection
    "0A": "NotSupportedError",
    "21": "ProgrammingError",  # cardinality
    "22": "DataError",
    "23": "IntegrityError",
    "25": "InternalError",  # state of the transaction
    "28": "OperationalError",  # authorization
    "3D": "OperationalError",  # no such database
    "3F": "ProgrammingError",  # no such schema
    "40": "OperationalError",  # serialization, deadlock
    "42": "ProgrammingError",  # syntax, access rule
    "53": "OperationalError",  # resources
    "55": "OperationalError",  # not available
    "57": "OperationalError",  # operator intervention
    "58": "OperationalError",  # system
    "XX": "InternalError",
}

SQLState = Callable[[BaseException], str | None]


def sorting(driver: Any, sqlstate: SQLState, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What *call* returns; an error of *driver* is raised anew in the class it belongs to, with the old one as cause.

    The old one's traceback goes: a driver that keeps the error (pg8000's cursors do) would keep the caller's frames.
    """
    try:
        return call(*args, **options)
    except driver.Error as error:
        kind = getattr(driver, _KINDS.get((sqlstate(error) or "")[:2], ""), type(error))
        error.__traceback__ = None
        raise kind(*error.args) from error


class SortingCursor(AroundCursor):
    """Sorts the errors of what it executes."""

    def __init__(self, cursor: Any, driver: Any, sqlstate: SQLState) -> None:
        super().__init__(cursor)
        self.__dict__.update(_driver=driver, _sqlstate=sqlstate)

    @override
    def _through(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        return sorting(self._driver, self._sqlstate, call, *args, **options)
