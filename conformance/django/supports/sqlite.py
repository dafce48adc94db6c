"""SQLite, by whichever module the engine uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from ...supports.sqlite import SQLiteSupport

__all__ = ["SQLiteEngineSupport"]


class SQLiteEngineSupport(SQLiteSupport):
    """As for other backends; the witness is of the engine's driver."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    @override
    def witness(self, mapping: Mapping[str, Any]) -> Any:
        return self._driver.connect(mapping["NAME"], isolation_level=None)

    def readable_options(self) -> tuple[str, list[tuple[Mapping[str, Any], object]]]:
        return "PRAGMA busy_timeout", [({"timeout": 1}, 1000), ({"timeout": 3}, 3000)]
