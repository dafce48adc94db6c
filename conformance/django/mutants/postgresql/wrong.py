"""One defect each, on a real server: sessions, their time zone and role, errors, lost sessions, pools."""

from __future__ import annotations

from typing import Any, ClassVar

from conformance.selftest.listing import wrong

from .right import BaseWrapper, DatabaseWrapper, PooledWrapper, PostgreSQLWrapper, driver

# Time zone and role


@wrong("DJOPT-009", says="after the first open, with TIME_ZONE = 'Asia/Tokyo' and AUTOCOMMIT = True")
class NamedLikeDjangosTimeZone(DatabaseWrapper):
    """An attribute of the engine's own has the name of Django's."""

    timezone_name = ""


@wrong("DJOPT-009", says="after the first open, with TIME_ZONE = 'Asia/Tokyo' and AUTOCOMMIT = True")
class InitializesWithoutDjango(DatabaseWrapper):
    """init_connection_state does not call Django's."""

    def init_connection_state(self) -> None:
        pass


@wrong("DJOPT-009", says="after the first open, with TIME_ZONE = 'Asia/Tokyo' and AUTOCOMMIT = False")
class TimeZoneIsRolledBack(DatabaseWrapper):
    """The time zone is set in a transaction that nobody commits."""

    def init_connection_state(self) -> None:
        BaseWrapper.init_connection_state(self)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, false)", [self.timezone_name])


@wrong("DJOPT-009", says="after close() and a second open, with TIME_ZONE = 'Asia/Tokyo'")
class TimeZoneOfTheFirstSession(DatabaseWrapper):
    """What was set once is taken for set."""

    initialized = False

    def init_connection_state(self) -> None:
        if not self.initialized:
            super().init_connection_state()
        self.initialized = True


@wrong("DJOPT-010", says="after the first open, with assume_role and AUTOCOMMIT = True, the session works as another")
class NamedLikeDjangosRole(DatabaseWrapper):
    """Methods of the engine's own have the names of Django's."""

    def ensure_role(self) -> bool:
        return False

    def _configure_role(self, connection: Any) -> bool:
        return False


@wrong("DJOPT-010", says="after close() and a second open, with assume_role and AUTOCOMMIT = True")
class RoleOfTheFirstSession(DatabaseWrapper):
    """A second session works as the login role."""

    initialized = False

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self.initialized:
            self.connection.execute("RESET ROLE")
        self.initialized = True


@wrong("DJOPT-007", says="'SHOW application_name' in the session says 'first' instead of 'second'")
class ParametersOfTheFirst(DatabaseWrapper):
    """Connection parameters are made once for all."""

    made: ClassVar[dict[str, Any]] = {}

    def get_connection_params(self) -> dict[str, Any]:
        if not self.made:
            self.made.update(super().get_connection_params())
        return dict(self.made)


# Transactions and errors


@wrong("DJTX-001", says="after INSERT number 1 outside of any block another session sees 0 row(s) instead of 1")
class NoAutocommit(DatabaseWrapper):
    """The driver's autocommit is never switched on."""

    def _set_autocommit(self, autocommit: bool) -> None:
        pass


@wrong("DJTX-007", says="with AUTOCOMMIT = False, before commit() another session sees 1 row(s) instead of 0")
class AlwaysAutocommit(DatabaseWrapper):
    """The driver is in autocommit, whatever the settings say."""

    def connect(self) -> None:
        super().connect()
        self.connection.autocommit = True


@wrong("DJTX-010", says="raised TransactionManagementError")
class ErrorsSpoilTheBlock(DatabaseWrapper):
    """Nobody goes back to the savepoint, and PostgreSQL refuses all that follows."""

    def _savepoint_rollback(self, sid: str) -> None:
        pass


@wrong("DJTX-012", says="chunked_cursor() sees 0 of its own block's 1 row(s)")
class IteratesElsewhere(DatabaseWrapper):
    """A server-side cursor is opened in a session of its own."""

    def chunked_cursor(self) -> Any:
        self.elsewhere = self.copy(self.alias)
        return PostgreSQLWrapper.chunked_cursor(self.elsewhere)


@wrong("DJERR-011", says="savepoint_commit() of a savepoint that there is not raised psycopg.errors.")
class SavepointsBesideTheCursor(DatabaseWrapper):
    """A savepoint is released past Django's cursor, and its error is the driver's."""

    def _savepoint_commit(self, sid: str) -> None:
        self.connection.execute(self.ops.savepoint_commit_sql(sid))


@wrong("DJERR-012", says="savepoint() that the driver refuses raised psycopg.OperationalError")
class SavepointsAreMadeBeside(DatabaseWrapper):
    """A savepoint is made past Django's cursor, and its error is the driver's."""

    def _savepoint(self, sid: str) -> None:
        self.connection.execute(self.ops.savepoint_create_sql(sid))


@wrong("DJERR-001", says="the first failed open raised psycopg.OperationalError")
class ConnectsUntranslated(DatabaseWrapper):
    """A refused connection raises the driver's error."""

    def ensure_connection(self) -> None:
        if self.connection is None:
            self.connect()


# Lost sessions


@wrong("DJDEAD-002", says="is_usable() is true for a session that has ended")
class AsksTheClient(DatabaseWrapper):
    """is_usable asks psycopg, which does not know that the session has ended."""

    def is_usable(self) -> bool:
        return not self.connection.closed


@wrong("DJDEAD-004", says="after the session's end in a block an INSERT was run; 1 row(s) were kept")
class ReconnectsInABlock(DatabaseWrapper):
    """A lost session is replaced in the midst of a block."""

    def create_cursor(self, name: Any = None) -> Any:
        try:
            self.connection.execute("SELECT 1")
        except driver.OperationalError:
            self.connection = driver.connect(**self.get_connection_params(), autocommit=True)
        return super().create_cursor(name)


@wrong("DJDEAD-006", says="with CONN_HEALTH_CHECKS, after the session's end between two requests, a query raised")
class ChecksNothing(DatabaseWrapper):
    """Health checks do nothing."""

    def close_if_health_check_failed(self) -> None:
        pass


@wrong("DJDEAD-009", says="close() of a session that has ended raised psycopg.errors.AdminShutdown")
class RollsBackAtClose(DatabaseWrapper):
    """close() sends a statement, and its error is the driver's."""

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.execute("SELECT pg_advisory_unlock_all()")
            self.connection.close()


@wrong("DJLIFE-007", says="left 8 session(s) open")
class NeverCloses(DatabaseWrapper):
    """close() forgets the connection, which a list keeps open."""

    forgotten: ClassVar[list[Any]] = []

    def _close(self) -> None:
        self.forgotten.append(self.connection)


@wrong("DJGC-001", says="a dropped wrapper has left 1 session(s)")
class SessionsOutliveTheWrapper(DatabaseWrapper):
    """A list in the class keeps the sessions of threads that have ended."""

    sessions: ClassVar[list[Any]] = []

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        self.sessions.append(connection)
        return connection


# Pools


class HomeMade(DatabaseWrapper):
    """A pool in the class, last in, first out."""

    idle: ClassVar[list[Any]] = []

    def get_new_connection(self, conn_params: Any) -> Any:
        return self.idle.pop() if self.idle else super().get_new_connection(conn_params)

    def _close(self) -> None:
        with self.wrap_database_errors:
            self.give_back(self.connection)

    def give_back(self, connection: Any) -> None:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True
            self.idle.append(connection)


@wrong("DJPOOL-001", says="after a connection was given back in a transaction another session sees 1 row(s)")
class GivesBackCommitted(HomeMade):
    """What was open when a connection is given back is committed."""

    idle: ClassVar[list[Any]] = []

    def give_back(self, connection: Any) -> None:
        connection.commit()
        super().give_back(connection)


@wrong("DJPOOL-003", says="sees the last one's temporary table")
class HandsTemporaryTablesOn(HomeMade):
    """Session state is handed on."""

    idle: ClassVar[list[Any]] = []


@wrong("DJPOOL-008", says="with CONN_HEALTH_CHECKS, after a session's end, the next owner got OperationalError")
class HandsTheDeadOn(HomeMade):
    """Nobody looks whether the session is still there."""

    idle: ClassVar[list[Any]] = []

    def give_back(self, connection: Any) -> None:
        self.idle.append(connection)


@wrong("DJPOOL-008", says="with CONN_HEALTH_CHECKS, after a session's end, the next owner got OperationalError")
class PoolWithoutChecks(PooledWrapper):
    """CONN_HEALTH_CHECKS does not reach Django's pool."""

    def __init__(self, settings_dict: dict[str, Any], *arguments: Any) -> None:
        super().__init__({**settings_dict, "CONN_HEALTH_CHECKS": False}, *arguments)


@wrong("DJPOOL-007", says="a connection was handed on after its maximum lifetime")
class PoolWithoutALifetime(PooledWrapper):
    """The pool's max_lifetime is read and ignored."""

    def __init__(self, settings_dict: dict[str, Any], *arguments: Any) -> None:
        options = settings_dict["OPTIONS"]
        pool = {key: value for key, value in options["pool"].items() if key != "max_lifetime"}
        super().__init__({**settings_dict, "OPTIONS": {**options, "pool": pool}}, *arguments)


@wrong("DJPOOL-006", says="psycopg_pool.PoolTimeout")
class PoolsErrorEscapes(PooledWrapper):
    """An empty pool raises its library's exception."""

    def ensure_connection(self) -> None:
        if self.connection is None:
            self.connect()


@wrong("DJPOOL-004", says="failed initializations an open raised OperationalError")
class LosesSlots(PooledWrapper):
    """A slot is given back only by a connection that was initialized."""

    ready = False
    lost: ClassVar[list[Any]] = []

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.ready = True

    def _close(self) -> None:
        if self.ready:
            super()._close()
        else:
            self.lost.append(self.connection)
