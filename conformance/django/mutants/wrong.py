"""One defect each: options, signatures, a connection's life, threads."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from conformance.selftest.listing import wrong

from .right import DatabaseWrapper
from .stock import Database, SQLiteFeatures, SQLiteOperations, SQLiteSchemaEditor, SQLiteWrapper

# Signatures


@wrong("DJSIG-001", says="OldSetAutocommit.set_autocommit overrides BaseDatabaseWrapper's, and it does not take force")
class OldSetAutocommit(DatabaseWrapper):
    """set_autocommit takes no second argument, so atomic() raises TypeError."""

    def set_autocommit(self, autocommit: bool) -> None:
        super().set_autocommit(autocommit)


class _OldOperations(SQLiteOperations):
    def quote_name(self, name: str, style: str) -> str:
        quoted: str = super().quote_name(name)
        return quoted


@wrong("DJSIG-001", says="it requires style, which Django does not pass")
class RequiresMore(DatabaseWrapper):
    """A helper's method requires an argument that Django does not pass."""

    ops_class = _OldOperations


class _OldSchemaEditor(SQLiteSchemaEditor):
    def table_sql(self) -> Any:
        return None


@wrong("DJSIG-001", says="_OldSchemaEditor.table_sql overrides")
class OldSchemaEditor(DatabaseWrapper):
    """A schema editor's method takes nothing any more."""

    SchemaEditorClass = _OldSchemaEditor


@wrong("DJSIG-002", says="has no argument named name")
class RenamesArguments(DatabaseWrapper):
    """An optional argument has another name."""

    def create_cursor(self, cursor_name: Any = None) -> Any:
        return super().create_cursor(cursor_name)


@wrong("DJSIG-003", says="is_usable is a value, and")
class MethodIsAValue(DatabaseWrapper):
    """A method of Django's is an attribute."""

    is_usable: Any = True


class _MethodInFeatures(SQLiteFeatures):
    def supports_transactions(self) -> bool:
        return True


@wrong("DJSIG-003", says="supports_transactions is a method, and")
class ValueIsAMethod(DatabaseWrapper):
    """A feature of Django's is a method, and so always true."""

    features_class = _MethodInFeatures


@wrong("DJSIG-004", says="the wrapper's attribute ensure_timezone hides Django's method of that name")
class CollidingName(DatabaseWrapper):
    """A flag of its own has taken the name of a method of Django's: TIME_ZONE is never applied."""

    def get_new_connection(self, conn_params: Any) -> Any:
        self.ensure_timezone = False
        return super().get_new_connection(conn_params)


@wrong("DJSIG-004", says="the wrapper's attribute is_in_memory_db hides Django's method of that name")
class CollidingWithTheEngine(DatabaseWrapper):
    """A flag of the engine's own has the name of a method of the engine of Django's that it is derived from."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.is_in_memory_db = False


@wrong("DJSIG-004", says="the wrapper's atomic_blocks is a int, and Django keeps a list there")
class CollidingState(DatabaseWrapper):
    """A counter of its own has taken the name of Django's list of blocks."""

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.atomic_blocks = 0


class _PoorDatabase:
    """The driver, without DataError."""

    def __getattr__(self, name: str) -> Any:
        if name == "DataError":
            raise AttributeError(name)
        return getattr(Database, name)


@wrong("DJSIG-005", says="Database.DataError is None, no exception")
class MissingException(DatabaseWrapper):
    """Database lacks one of the exceptions."""

    Database = _PoorDatabase()


# A connection's life


@wrong("DJLIFE-001", says="after close() the wrapper still has a connection")
class NeverForgets(DatabaseWrapper):
    """close leaves the connection in place."""

    def close(self) -> None:
        self._close()

    def _close(self) -> None:
        pass


@wrong("DJLIFE-002", says="close() for the second time raised AttributeError")
class ClosesOnce(DatabaseWrapper):
    """A second close raises."""

    closed = False

    def close(self) -> None:
        if self.closed:
            self.connection.close()
        super().close()
        self.closed = self.connection is None and bool(self.__dict__.get("opened"))

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.opened = True
        self.closed = False


@wrong("DJLIFE-003", says="connection_created was sent 0 time(s) for one open")
class NoSignal(DatabaseWrapper):
    """connect is written anew and sends no signal."""

    def connect(self) -> None:
        self.in_atomic_block = False
        self.close_at = None
        self.health_check_done = True
        self.errors_occurred = False
        self.connection = self.get_new_connection(self.get_connection_params())
        self.set_autocommit(self.settings_dict["AUTOCOMMIT"])
        self.init_connection_state()


class _Held:
    connection: ClassVar[dict[str, Any]] = {}


@wrong("DJLIFE-004", says="two wrappers hold the same connection of the driver's")
class OneConnectionForAll(DatabaseWrapper):
    """Every wrapper gets the same connection."""

    def get_new_connection(self, conn_params: Any) -> Any:
        if "it" not in _Held.connection:
            _Held.connection["it"] = super().get_new_connection(conn_params)
        return _Held.connection["it"]

    def _close(self) -> None:
        pass


@wrong("DJLIFE-005", says="the alias 'other' sees 1 row(s) that were written to 'default'")
class FirstNameWins(DatabaseWrapper):
    """The database's name is kept in the class."""

    names: ClassVar[list[str]] = []

    def get_connection_params(self) -> Any:
        params = super().get_connection_params()
        self.names.append(params["database"])
        return {**params, "database": self.names[0]}


@wrong("DJLIFE-006", says="a statement after close() in an atomic block was run")
class ReopensInABlock(DatabaseWrapper):
    """close in a block forgets the connection, and the next statement opens another."""

    def close(self) -> None:
        self.validate_thread_sharing()
        if self.connection is not None:
            self._close()
            self.connection = None


@wrong("DJLIFE-007", says="8 opens and closes, one after the other, left 8 session(s) open")
class NeverCloses(DatabaseWrapper):
    """close forgets the connection, which a list keeps open."""

    kept: ClassVar[list[Any]] = []

    def _close(self) -> None:
        self.kept.append(self.connection)


@wrong("DJLIFE-008", says="after init_connection_state() raised, the next query raised ProgrammingError")
class KeepsHalfMade(DatabaseWrapper):
    """A connection that could not be initialized is closed, and stays in its place."""

    def connect(self) -> None:
        try:
            super().connect()
        except BaseException:
            self.connection.close()
            raise


@wrong("DJLIFE-009", says="after a failed open the wrapper has a connection")
class PlaceholderConnection(DatabaseWrapper):
    """A placeholder stands for the connection while it is opened."""

    def connect(self) -> None:
        self.connection = object()
        super().connect()


# Options


@wrong("DJOPT-001", says="after get_connection_params(), in OPTIONS: timeout is gone")
class PopsOptions(DatabaseWrapper):
    """An option is popped from the dict that all threads share."""

    def get_connection_params(self) -> Any:
        timeout = self.settings_dict["OPTIONS"].pop("timeout", 5)
        return {**super().get_connection_params(), "timeout": timeout}


@wrong("DJOPT-001", says="in OPTIONS: cached_statements is new")
class AddsOptions(DatabaseWrapper):
    """Defaults are written into the dict that all threads share."""

    def get_connection_params(self) -> Any:
        self.settings_dict["OPTIONS"].setdefault("cached_statements", 99)
        return super().get_connection_params()


@wrong("DJOPT-002", says="PASSWORD is gone")
class DeletesPassword(DatabaseWrapper):
    """The password is deleted once it was used."""

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self.settings_dict.pop("PASSWORD", None)
        return connection


@wrong("DJOPT-002", says="USER has changed")
class ChangesUser(DatabaseWrapper):
    """The user is completed in place."""

    def get_connection_params(self) -> Any:
        self.settings_dict["USER"] = f"{self.settings_dict['USER']}@server"
        return super().get_connection_params()


@wrong("DJOPT-003", says="a second thread's connection parameters: timeout has changed")
class FirstThreadOnly(DatabaseWrapper):
    """A parameter is right in the first thread alone."""

    def get_connection_params(self) -> Any:
        first = threading.current_thread() is threading.main_thread()
        return {**super().get_connection_params(), "timeout": 5 if first else 1}


@wrong("DJOPT-003", says="the second call of get_connection_params(): timeout has changed")
class OtherAtTheSecondCall(DatabaseWrapper):
    """The second call gives other parameters."""

    calls = 0

    def get_connection_params(self) -> Any:
        self.calls += 1
        return {**super().get_connection_params(), "timeout": self.calls}


@wrong("DJOPT-004", says="changing the connection parameters changed the settings: OPTIONS has changed")
class HandsOutOptions(DatabaseWrapper):
    """The connection parameters are the settings' own dict."""

    def get_connection_params(self) -> Any:
        return self.settings_dict["OPTIONS"]

    def get_new_connection(self, conn_params: Any) -> Any:
        return SQLiteWrapper.get_new_connection(self, SQLiteWrapper.get_connection_params(self))


@wrong("DJOPT-005", says="copy() after a connect raised TypeError")
class CannotBeCopied(DatabaseWrapper):
    """A lock is kept in the settings, so copy() fails after a connect."""

    def get_new_connection(self, conn_params: Any) -> Any:
        self.settings_dict["LOCK"] = threading.Lock()
        return super().get_new_connection(conn_params)


@wrong("DJOPT-005", says="a copy shares its OPTIONS with the original")
class ShallowCopy(DatabaseWrapper):
    """copy() shares the options."""

    def copy(self, alias: Any = None) -> Any:
        return type(self)(dict(self.settings_dict), alias or self.alias)


@wrong("DJOPT-006", says="was opened with an option that nobody knows")
class IgnoresUnknownOptions(DatabaseWrapper):
    """Only the options it knows are read."""

    def get_connection_params(self) -> Any:
        params = super().get_connection_params()
        return {key: value for key, value in params.items() if not key.startswith("conformance")}


@wrong("DJOPT-007", says="with timeout = 1, 'PRAGMA busy_timeout' in the session says 5000 instead of 1000")
class IgnoresTimeout(DatabaseWrapper):
    """A declared option is ignored."""

    def get_connection_params(self) -> Any:
        params = super().get_connection_params()
        params.pop("timeout", None)
        return params


@wrong("DJOPT-011", says="noon in UTC was written as '2026-01-01 12:00")
class CollidesWithTheTimeZone(DatabaseWrapper):
    """An attribute of the engine's own has the name of Django's time zone."""

    timezone = datetime.UTC


@wrong("DJOPT-008", says="the error of a failed open shows the password")
class TellsThePassword(DatabaseWrapper):
    """A failed open repeats what it was opened with."""

    def get_new_connection(self, conn_params: Any) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except Database.Error as error:
            raise Database.OperationalError(f"{error}: password={self.settings_dict['PASSWORD']}") from error


# Threads


@wrong("DJTHR-001", says="commit() in another thread raised nothing")
class CommitUnchecked(DatabaseWrapper):
    """commit does not check its thread."""

    def commit(self) -> None:
        self._commit()


@wrong("DJTHR-001", says="cursor() in another thread raised nothing")
class CursorUnchecked(DatabaseWrapper):
    """Cursors are made without Django's check."""

    def _cursor(self, name: Any = None) -> Any:
        self.ensure_connection()
        return self.make_cursor(self.create_cursor(name))


@wrong("DJTHR-001", says="raised builtins.RuntimeError, not django.db.utils.DatabaseError")
class RefusesByAnotherError(DatabaseWrapper):
    """Another thread is refused by an error of its own."""

    def validate_thread_sharing(self) -> None:
        if self._thread_ident != threading.get_ident() and not self.allow_thread_sharing:
            raise RuntimeError("not your connection")


@wrong("DJTHR-002", says="a refused rollback()")
class RollsBackBeforeTheCheck(DatabaseWrapper):
    """rollback acts before it checks."""

    def rollback(self) -> None:
        self._rollback()
        super().rollback()


@wrong("DJTHR-002", says="a refused close() has changed closing")
class ChangesBeforeTheCheck(DatabaseWrapper):
    """close changes its state before it checks."""

    closing = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.closing = False

    def close(self) -> None:
        self.closing = True
        super().close()


class _Inner:
    """A second wrapper inside, with a thread of its own."""

    def __init__(self) -> None:
        self.owner = threading.get_ident()

    def check(self) -> None:
        if self.owner != threading.get_ident():
            raise Database.ProgrammingError("the inner connection is of another thread")


@wrong("DJTHR-003", says="while the wrapper was shared another thread got ProgrammingError")
class SharingStopsOutside(DatabaseWrapper):
    """Sharing does not reach what it holds inside."""

    inner: Any = None

    def create_cursor(self, name: Any = None) -> Any:
        self.inner = self.inner or _Inner()
        self.inner.check()
        return super().create_cursor(name)


@wrong("DJTHR-003", says="cursor() in another thread after sharing raised nothing")
class SharedForGood(DatabaseWrapper):
    """Once shared, always shared."""

    def dec_thread_sharing(self) -> None:
        pass


@wrong("DJTHR-004", says="OperationalError")
class ThreadsTakeTurns(DatabaseWrapper):
    """The driver is opened with an exclusive lock."""

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection({**conn_params, "timeout": 0})
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
        connection.execute("BEGIN EXCLUSIVE").close()
        connection.execute("COMMIT").close()
        return connection


@wrong("DJTHR-005", says="another thread's commit() has opened a connection")
class OpensForStrangers(DatabaseWrapper):
    """commit opens a connection before it looks at the thread."""

    def commit(self) -> None:
        self.ensure_connection()
        super().commit()


@wrong("DJGC-001", says="a dropped wrapper is kept alive by")
class KeepsWrappers(DatabaseWrapper):
    """A list in the class keeps every wrapper that was connected."""

    connected: ClassVar[list[Any]] = []

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.connected.append(self)


@wrong("DJGC-001", says="a dropped wrapper has left 1 session(s)")
class KeepsSessions(DatabaseWrapper):
    """A list in the class keeps every connection."""

    sessions: ClassVar[list[Any]] = []

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self.sessions.append(connection)
        return connection


@wrong("DJGC-002", says="its hook refers back to it")
class InACycle(DatabaseWrapper):
    """An attribute of the engine's own leads back to the wrapper."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.hook: Callable[[], Any] = self.get_connection_params
