"""Wrong in closing: the session stays, or what was not to be ended ends."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import SupportsClose

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams
from . import mutant


class Closing(SupportsClose[sqlite3.Connection], BaselineBackend):
    """Right. Declares a closing of its own; a subclass spoils it."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.close()


@mutant("CLOSE-001", says="still runs statements")
class ClosesNothing(Closing):
    """close_connection only rolls back."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()


@mutant("CLOSE-002", says="3 session(s) are left")
class SecondConnection(Closing):
    """It opens a second connection beside each, and forgets it on closing."""

    beside: ClassVar[list[sqlite3.Connection]] = []

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        self.beside.append(self.get_new_connection(self.get_connection_params()))


@mutant("CLOSE-003", says="close() of a connection open raised OperationalError")
class CloseNeedsTransaction(Closing):
    """close_connection commits in words, which fails where nothing is to be committed."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("COMMIT")
        connection.close()


@mutant("CLOSE-004", says="was committed by closing")
@mutant("CLOSE-005", says="1 row(s) of the block were kept")
class CommitsOnClose(Closing):
    """close_connection commits first, lest anything be lost."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()
        connection.close()


class UncheckedCursor(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        return sqlite3.Cursor.execute(self, *args)


@mutant("CLOSE-006", says="instead of a ConnectionClosedError")
class CursorUnchecked(BaselineBackend):
    """Its cursor has an execute of its own, around the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return UncheckedCursor(connection)


@mutant("CLOSE-007", says="the dead connection was opened again")
class KeepsTheDead(BaselineBackend):
    """get_new_connection hands out a kept connection until its close has succeeded."""

    _kept: ClassVar[dict[str, sqlite3.Connection]] = {}

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        if params["database"] not in self._kept:
            self._kept[params["database"]] = super().get_new_connection(params)
        return self._kept[params["database"]]

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        return

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        return


@mutant("CLOSE-008", says="closing in another thread raised ProgrammingError")
class ThreadBound(BaselineBackend):
    """The driver checks the thread itself, so no other one can close."""

    @override
    def get_connection_params(self) -> BaselineParams:
        return {**super().get_connection_params(), "check_same_thread": True}


@mutant("CLOSE-009", says="with a result half read close() raised OperationalError")
class CloseNeedsQuiet(Closing):
    """close_connection tidies up first, which an open result forbids."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("VACUUM")
        connection.close()


@mutant("CLOSE-010", says="after another one was closed a connection refused its statement")
class ClosesTheLast(Closing):
    """close_connection closes every connection that the backend has opened."""

    opened: ClassVar[list[sqlite3.Connection]] = []

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        self.opened.append(super().get_new_connection(params))
        return self.opened[-1]

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        for each in self.opened:
            each.close()


@mutant("CLOSE-013", says="another session cannot write")
class LeavesStatements(Closing):
    """close_connection leaves statements under way, and so their locks."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        sqlite3.Connection.close(connection)


class RawExitCursor(BaselineCursor):
    __slots__ = ()

    @override
    def __exit__(self, *_exception: object) -> None:
        sqlite3.Cursor.close(self)


@mutant("CLOSE-011", says="the block ended by sqlite3.ProgrammingError, none of ours")
class CursorExitsRaw(BaselineBackend):
    """Its cursor has an __exit__ of its own, around the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return RawExitCursor(connection)
