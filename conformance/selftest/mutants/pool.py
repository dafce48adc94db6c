"""Wrong about being handed on, and about being wrapped."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from functools import cached_property
from typing import Any, ClassVar, cast

from typing_extensions import override

from backend_sdk import SupportsPing

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant


def _drop_temporary(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_temp_master WHERE type = 'table'").fetchall():
        connection.execute(f'DROP TABLE temp."{name}"').close()


@mutant("POOL-001", says="the last user's open transaction was committed")
class ResetCommits(BaselineBackend):
    """reset commits what is open."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()
        super().reset(connection)


@mutant("POOL-001", says="the next user's commit published the last user's open transaction")
class ResetForgetsTransaction(BaselineBackend):
    """reset leaves the transaction open."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        _drop_temporary(connection)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            super().init_connection_state(connection)


@mutant("POOL-002", says="can read the last one's temporary table")
class ResetForgetsTemporary(BaselineBackend):
    """reset rolls back and no more."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()
        connection.execute("PRAGMA query_only = 0").close()


@mutant("POOL-003", says="refuses the next one's INSERT")
class ResetForgetsReadOnly(BaselineBackend):
    """reset leaves the session read-only."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()
        _drop_temporary(connection)


@mutant("POOL-004", says="after it the driver says 'in transaction'")
class ResetBegins(BaselineBackend):
    """reset leaves a transaction of its own open."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        super().reset(connection)
        self.begin(connection)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()
        super().init_connection_state(connection)


@mutant("POOL-005", says="it returned as if all were well")
class ResetSwallows(BaselineBackend):
    """reset swallows the driver's errors."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().reset(connection)
        except sqlite3.Error:
            pass


@mutant("POOL-006", says="SQLite objects created in a thread can only be used in that same thread")
class DriverChecksThread(BaselineBackend):
    """The driver's own thread check is left on."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        params["check_same_thread"] = True
        return super().get_new_connection(params)


@mutant("POOL-006", says="ping in another thread than the one that opened raised AttributeError")
class KeepsByThread(BaselineBackend):
    """ping looks the connection up in a threading.local."""

    _local: ClassVar[threading.local] = threading.local()

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        self._local.connection = super().get_new_connection(params)
        return cast("sqlite3.Connection", self._local.connection)

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        super().ping(self._local.connection)


class _AsksBackend(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        cast("Any", self._guard.session).note_statement(args[0])
        return super().execute(*args)


@mutant("POOL-007", says="raised AttributeError")
class CursorKnowsItsBackend(BaselineBackend):
    """Its cursors call a method that only this backend has on whatever backend the wrapper has."""

    def note_statement(self, statement: object) -> None:
        pass

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _AsksBackend(connection)


@mutant("POOL-007", says="around it, a backend lacks SupportsPing")
class AbilitiesChange(BaselineBackend):
    """It names an ability only while it has been asked an even number of times."""

    _asked: ClassVar[Any] = itertools.count()

    @property
    @override
    def abilities(self) -> frozenset[type]:
        found = super().abilities
        return found if next(self._asked) % 2 else found - {SupportsPing}


class _CountedSettings(BaselineSettings, frozen=True):
    @cached_property
    @override
    def fingerprint(self) -> str:
        return f"{id(self):x}"


@mutant("POOL-008", says="two backends of equal settings have different fingerprints")
class FingerprintOfObject(BaselineBackend):
    """The fingerprint is the settings object's own."""


FingerprintOfObject.settings_class = _CountedSettings


class _NamelessSettings(BaselineSettings, frozen=True):
    @cached_property
    @override
    def fingerprint(self) -> str:
        return f"{self.host}:{self.port}"


@mutant("POOL-008", says="backends of two databases have one fingerprint")
class FingerprintOfServer(BaselineBackend):
    """The fingerprint is the server's, not the database's."""


FingerprintOfServer.settings_class = _NamelessSettings
