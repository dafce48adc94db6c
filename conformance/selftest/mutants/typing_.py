"""Wrong in their types: what can be seen before anything is opened."""

from __future__ import annotations

import sqlite3
from typing import Any

from typing_extensions import override

from backend_sdk import ConnectionSettings, SupportsClose

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams
from . import mutant


@mutant("TYPE-001", says="init_connection_state cannot be called with 1 argument(s)")
class InitTakesNoConnection(BaselineBackend):
    """init_connection_state does not take the connection."""

    @override
    def init_connection_state(self) -> None:  # type: ignore[override]  # the defect
        return


@mutant("TYPE-001", says="_cursor is a coroutine function")
class AsyncCursor(BaselineBackend):
    """_cursor is asynchronous."""

    @override
    async def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:  # type: ignore[override]  # the defect
        return BaselineCursor(connection)


@mutant("TYPE-001", says="get_connection_params is not a method")
class ParamsProperty(BaselineBackend):
    """get_connection_params is a property."""

    @property
    @override
    def get_connection_params(self) -> BaselineParams:  # type: ignore[override]  # the defect
        return super().get_connection_params()


@mutant("TYPE-001", says="get_new_connection is a generator function")
class OpensByYield(BaselineBackend):
    """get_new_connection yields the connection, as a context manager would."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> Any:
        yield super().get_new_connection(params)


@mutant("TYPE-002", says="ping cannot be called with 1 argument(s)")
class PingTakesNoConnection(BaselineBackend):
    """ping does not take the connection."""

    @override
    def ping(self) -> None:  # type: ignore[override]  # the defect
        return


@mutant("TYPE-002", says="threadsafety of SupportsThreadSafety is a method")
class ThreadSafetyMethod(BaselineBackend):
    """threadsafety is a method, so its level compares as a function."""

    @override
    def threadsafety(self) -> int:  # type: ignore[override]  # the defect
        return 1


@mutant("TYPE-002", says="reset is a coroutine function")
class AsyncReset(BaselineBackend):
    """reset is asynchronous, so it never runs."""

    @override
    async def reset(self, connection: sqlite3.Connection, /) -> None:  # type: ignore[override]  # the defect
        connection.rollback()


@mutant("TYPE-003", says="does not declare SupportsConfigure")
class ConfiguresUndeclared(BaselineBackend):
    """It configures its connections and does not declare it."""

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.row_factory = None


class StructuralBackend:
    """Right, and no subclass of the SDK's: what a structural class needs at least."""

    test_support = BaselineBackend.test_support

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> ConnectionSettings:
        return self._settings

    def get_connection_params(self) -> dict[str, Any]:
        return {"database": self.settings.name, "isolation_level": None, "check_same_thread": False}

    def get_new_connection(self, params: dict[str, Any], /) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(**params)
        return connection

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON").close()

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


@mutant("TYPE-003", says="does not declare SupportsPing")
class PingsUndeclared(StructuralBackend):
    """A structural class can ping and does not declare it."""

    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1").close()


@mutant("TYPE-004", says="another settings object could be assigned")
class SettableSettings(StructuralBackend):
    """settings has a setter."""

    @property
    def settings(self) -> ConnectionSettings:
        return self._settings

    @settings.setter
    def settings(self, value: ConnectionSettings) -> None:
        self._settings = value


@mutant("TYPE-005", says="_cursor does not say the type of connection")
class BareArgument(BaselineBackend):
    """_cursor's argument has no annotation."""

    @override
    def _cursor(self, connection, /) -> BaselineCursor:  # type: ignore[no-untyped-def]  # the defect
        return BaselineCursor(connection)


@mutant("TYPE-006", says="replaces __eq__")
class OwnEquality(BaselineBackend):
    """Two backends are equal whatever their settings."""

    @override  # type: ignore[misc]  # the defect
    def __eq__(self, other: object) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]  # the defect
        return isinstance(other, OwnEquality)

    @override  # type: ignore[misc]  # the defect
    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]  # the defect
        return hash(OwnEquality)


@mutant("TYPE-006", says="replaces settings")
class OwnSettings(SupportsClose[sqlite3.Connection], BaselineBackend):
    """settings is replaced by a property of its own."""

    @property  # type: ignore[misc]  # the defect
    @override
    def settings(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # the defect
        return self._settings

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.close()
