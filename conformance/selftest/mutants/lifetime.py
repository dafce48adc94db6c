"""Wrong about a connection's age and health."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar, cast

from typing_extensions import override

from backend_sdk import SupportsClose

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant


def _revive(connection: sqlite3.Connection, database: str) -> None:
    """Open another session under the same connection object, as reconnecting drivers do."""
    cast("Any", connection).__init__(database, isolation_level=None, check_same_thread=False)


@mutant("AGE-001", says="a connection of 61 s was kept")
class IgnoresMaxAge(BaselineBackend):
    """It overrides the maximal age of the settings."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings.derive(conn_max_age=None))


@mutant("AGE-001", says="works still")
class CloseDoesNothing(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection leaves the session open."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        pass


@mutant("AGE-002", says="the use after the loss met the dead connection")
class IgnoresHealthChecks(BaselineBackend):
    """It overrides the health checks of the settings."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings.derive(conn_health_checks=False))


@mutant("AGE-003", says="a connection whose session is gone is True")
class NeverLooks(BaselineBackend):
    """Neither ping nor is_broken looks."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        pass

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        return False


@mutant("AGE-003", says="is_usable() of a healthy connection is False")
class PingFails(BaselineBackend):
    """ping sends a wrong statement."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1 FROM dual").close()


@mutant("AGE-004", says="it returned as if all were well")
class PingDoesNothing(BaselineBackend):
    """ping does nothing."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        pass


@mutant("AGE-004", says="it returned as if all were well")
class PingSwallows(BaselineBackend):
    """ping swallows the driver's error."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().ping(connection)
        except sqlite3.Error:
            pass


@mutant("AGE-004", says="it returned as if all were well")
class PingReconnects(BaselineBackend):
    """ping reconnects and says nothing of it."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        if self.is_broken(connection):
            _revive(connection, self.settings.name)
        super().ping(connection)


@mutant("AGE-005", says="runs statements again")
class PingRaisesAndReconnects(BaselineBackend):
    """ping raises, and has reconnected all the same."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().ping(connection)
        except sqlite3.Error:
            _revive(connection, self.settings.name)
            raise


@mutant("AGE-006", says="it committed an open transaction")
class PingCommits(BaselineBackend):
    """ping commits what is open."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        super().ping(connection)
        connection.commit()


@mutant("AGE-006", says="it rolled an open transaction back")
class PingRollsBack(BaselineBackend):
    """ping rolls back what is open, to leave nothing behind."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        super().ping(connection)
        connection.rollback()


@mutant("AGE-006", says="an idle session is 'in transaction'")
class PingBegins(BaselineBackend):
    """ping leaves a transaction open."""

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            self.begin(connection)
        super().ping(connection)


@mutant("AGE-007", says="whose session is gone is not called broken")
class NeverBroken(BaselineBackend):
    """is_broken is always False."""

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        return False


@mutant("AGE-007", says="a healthy connection is called broken")
class BrokenOnceUsed(BaselineBackend):
    """is_broken is True of every connection."""

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        return True


@mutant("AGE-008", says="does not count as a disconnect")
class NeverDisconnected(BaselineBackend):
    """is_disconnect is always False."""

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return False


@mutant("AGE-008", says="a missing table counts as a disconnect")
class EveryErrorDisconnects(BaselineBackend):
    """is_disconnect is True of every error."""

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return True


@mutant("AGE-009", says="in the same block, raised nothing")
class CursorReconnects(BaselineBackend):
    """_cursor reconnects where the session is gone."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        if self.is_broken(connection):
            _revive(connection, self.settings.name)
        return super()._cursor(connection)


@mutant("AGE-010", says="the first statement after the loss was noticed raised")
class HandsOutTheDead(BaselineBackend):
    """get_new_connection hands out a connection that it has kept, dead or not."""

    _kept: ClassVar[dict[str, sqlite3.Connection]] = {}

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        kept = self._kept.get(params["database"])
        if kept is None:
            kept = self._kept[params["database"]] = super().get_new_connection(params)
        return kept

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        if not self.is_broken(connection):
            super().init_connection_state(connection)

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        if not self.is_broken(connection):
            super().set_autocommit(connection, autocommit)
