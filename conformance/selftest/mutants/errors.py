"""Wrong in their errors: not translated, translated to something else, or swallowed."""

from __future__ import annotations

import sqlite3
from typing import Any

from typing_extensions import override

from backend_sdk import CheckedCursor, DatabaseError, ErrorClasses, ProgrammingError, SupportsClose

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams
from . import mutant


@mutant("ERR-001", says="without the driver's error as its cause")
class RefusesWithoutCause(BaselineBackend):
    """get_new_connection raises the SDK's error itself and drops the driver's."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error:
            raise DatabaseError("no database") from None


class WrongOrderCursor(sqlite3.Cursor, CheckedCursor):
    __slots__ = ("_guard",)


@mutant("ERR-002", says="execute raised sqlite3.OperationalError, none of ours")
class MixinLast(BaselineBackend):
    """Its cursor class lays CheckedCursor under the driver's class instead of over it."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> Any:
        return WrongOrderCursor(connection)


class OtherDriver:
    """What `driver_errors` may be: an object with the classes as attributes."""

    Error: type[Exception] = type("Error", (Exception,), {})
    Warning: type[Exception] = sqlite3.Warning


@mutant("ERR-002", says="execute raised sqlite3.OperationalError, none of ours")
class ErrorsOfAnotherDriver(BaselineBackend):
    """driver_errors are those of another driver."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return OtherDriver()


class RelabellingCursor(BaselineCursor):
    __slots__ = ()
    kind: type[sqlite3.Error] = sqlite3.OperationalError
    caught: type[sqlite3.Error] = sqlite3.IntegrityError

    @override
    def execute(self, *args: Any) -> Any:
        try:
            return super().execute(*args)
        except Exception as error:
            if isinstance(error.__cause__, self.caught):
                raise self._guard.failure(self.kind(*error.args), "execute") from error.__cause__
            raise


@mutant("ERR-003", says="a duplicate key raised OperationalError")
class DuplicateIsOperational(BaselineBackend):
    """Its cursor gives a duplicate key another class."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return RelabellingCursor(connection)


class IntegrityCursor(RelabellingCursor):
    __slots__ = ()
    kind = sqlite3.IntegrityError
    caught = sqlite3.Error


@mutant("ERR-004", says="an unknown column raised IntegrityError")
class EverythingIsIntegrity(BaselineBackend):
    """Its cursor gives every error the class of a duplicate key."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return IntegrityCursor(connection)


class OwnFetchCursor(BaselineCursor):
    __slots__ = ()

    @override
    def fetchone(self) -> Any:
        return sqlite3.Cursor.fetchone(self)


@mutant("ERR-005", says="fetchone raised sqlite3.ProgrammingError, none of ours")
class OwnFetch(BaselineBackend):
    """Its cursor has a fetchone of its own, around the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return OwnFetchCursor(connection)


class OwnIterationCursor(BaselineCursor):
    __slots__ = ()

    @override
    def __iter__(self) -> Any:
        return iter(sqlite3.Cursor.fetchall(self))


@mutant("ERR-006", says="iteration raised sqlite3.ProgrammingError, none of ours")
class OwnIteration(BaselineBackend):
    """Its cursor iterates in its own way, around the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return OwnIterationCursor(connection)


class OwnManyCursor(BaselineCursor):
    __slots__ = ()

    @override
    def executemany(self, sql: str, parameters: Any, /) -> Any:
        for entry in parameters:
            sqlite3.Cursor.execute(self, sql, entry)
        return self


@mutant("ERR-007", says="executemany raised sqlite3.IntegrityError, none of ours")
class OwnMany(BaselineBackend):
    """Its cursor has an executemany of its own, around the checks."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return OwnManyCursor(connection)


@mutant("ERR-008", says="commit() on a closed connection raised nothing")
class SwallowsCommit(BaselineBackend):
    """commit swallows the driver's errors."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().commit(connection)
        except sqlite3.Error:
            pass


@mutant("ERR-008", says="commit raised builtins.RuntimeError, none of ours")
class CommitRaisesItsOwn(BaselineBackend):
    """commit replaces the driver's error by one of another kind."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().commit(connection)
        except sqlite3.Error as error:
            raise RuntimeError("commit failed") from error


class NarrowErrors(OtherDriver):
    Error = sqlite3.IntegrityError


class WideErrors(OtherDriver):
    Error = Exception


class ErrorAlone:
    Error: type[Exception] = sqlite3.Error


@mutant("ERR-009", says="close raised builtins.RuntimeError, none of ours")
class CloseComplains(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection raises an error of its own where there is nothing left to close."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        if self.is_broken(connection):
            raise RuntimeError("already closed")
        connection.close()


@mutant("ERR-010", says="a TypeError in init_connection_state arrived as")
class CatchesEverything(BaselineBackend):
    """driver_errors.Error is Exception itself."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return WideErrors()


@mutant("ERR-011", says="the driver raised sqlite3.OperationalError, no sqlite3.IntegrityError")
class ErrorsTooNarrow(BaselineBackend):
    """driver_errors.Error is one of the driver's classes, not their root."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return NarrowErrors()


@mutant("ERR-011", says="driver_errors.Error takes in builtins.Exception")
class ErrorsTooWide(BaselineBackend):
    """driver_errors.Error is the root of all exceptions."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return WideErrors()


class ClosingCursor(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        try:
            return super().execute(*args)
        except Exception:
            self.connection.close()
            raise


@mutant("ERR-012", says="refused the next statement")
class ClosesOnError(BaselineBackend):
    """Its cursor closes the connection when a statement fails."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return ClosingCursor(connection)


class TranslatingCursor(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        try:
            return sqlite3.Cursor.execute(self, *args)
        except sqlite3.Error as error:
            raise ProgrammingError(*error.args) from error


@mutant("ERR-013", says="names step None, alias None")
class TranslatesItself(BaselineBackend):
    """Its cursor translates the driver's errors itself."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return TranslatingCursor(connection)


@mutant("ERR-014", says="is_disconnect(OperationalError(")
class EveryErrorIsDisconnect(BaselineBackend):
    """is_disconnect goes by the class of the error alone."""

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError)


@mutant("ERR-014", says="is_disconnect(ValueError(")
class DisconnectByWords(BaselineBackend):
    """is_disconnect goes by words that any error can hold."""

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return "closed" in str(error)


@mutant("ERR-015", says="returned as if all were well, though it met ProgrammingError")
class InitSwallows(BaselineBackend):
    """init_connection_state ignores statements that fail."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        try:
            super().init_connection_state(connection)
        except sqlite3.Error:
            pass


@mutant("ERR-016", says="driver_errors has no sqlite3.Warning")
class NoWarning(BaselineBackend):
    """driver_errors has the driver's Error alone."""

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return ErrorAlone()
