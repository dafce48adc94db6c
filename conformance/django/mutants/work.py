"""One defect each: transactions, errors, dead connections."""

from __future__ import annotations

from typing import Any

from conformance.selftest.listing import wrong

from .right import DatabaseWrapper
from .stock import CursorWrapper, Database, SQLiteFeatures, SQLiteWrapper, utils

# Transactions


@wrong("DJTX-001", says="after INSERT number 1 outside of any block another session sees 0 row(s) instead of 1")
class NoAutocommit(DatabaseWrapper):
    """The driver's own autocommit is never switched on."""

    def _set_autocommit(self, autocommit: bool) -> None:
        self.connection.isolation_level = ""


@wrong("DJTX-001", says="after INSERT number 1 outside of any block another session sees 0 row(s) instead of 1")
class CommitsAtTheNextCursor(DatabaseWrapper):
    """Rows are committed by the next statement."""

    def _set_autocommit(self, autocommit: bool) -> None:
        self.connection.isolation_level = ""

    def create_cursor(self, name: Any = None) -> Any:
        if not self.in_atomic_block:
            self.connection.commit()
        return super().create_cursor(name)


@wrong("DJTX-002", says="before the block had ended another session sees 1 row(s) instead of 0")
class BlocksDoNothing(DatabaseWrapper):
    """An atomic block begins no transaction."""

    def _start_transaction_under_autocommit(self) -> None:
        pass

    def _savepoint_allowed(self) -> bool:
        return False


@wrong("DJTX-002", says="after the block another session sees 0 row(s) instead of 1")
class CommitRollsBack(DatabaseWrapper):
    """commit rolls back."""

    def _commit(self) -> None:
        self.connection.rollback()


@wrong("DJTX-002", says="TypeError")
class AtomicRaisesTypeError(DatabaseWrapper):
    """The override behind atomic() lost an argument."""

    def set_autocommit(self, autocommit: bool) -> None:
        super().set_autocommit(autocommit)


@wrong("DJTX-003", says="after a block that raised another session sees 1 row(s) instead of 0")
class RollbackCommits(DatabaseWrapper):
    """rollback commits."""

    def _rollback(self) -> None:
        self.connection.commit()


class _ProbingFeatures(SQLiteFeatures):
    supports_transactions = True


@wrong("DJTX-003", says="after a block that raised another session sees 1 row(s) instead of 0")
class RollbackDoesNothing(DatabaseWrapper):
    """rollback does nothing."""

    features_class = _ProbingFeatures

    def _rollback(self) -> None:
        pass


@wrong("DJTX-004", says="after an inner block that raised the outer one sees 4 row(s) instead of 2")
class SavepointsDoNothing(DatabaseWrapper):
    """Rolling back to a savepoint does nothing."""

    def _savepoint_rollback(self, sid: str) -> None:
        pass


@wrong("DJTX-004", says="raised TransactionManagementError")
class RollsBackEverything(DatabaseWrapper):
    """Rolling back to a savepoint rolls everything back."""

    def _savepoint_rollback(self, sid: str) -> None:
        self.connection.rollback()
        self.connection.execute("BEGIN").close()


class _Lingering(DatabaseWrapper):
    """After a step of a block the driver begins the next transaction by itself."""

    features_class = _ProbingFeatures
    due = False

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)
        if autocommit and self.due:
            self.due = False
            self.connection.execute("BEGIN").close()

    def _start_transaction_under_autocommit(self) -> None:
        if self.connection.in_transaction:
            self.connection.commit()
        super()._start_transaction_under_autocommit()


@wrong("DJTX-005", says="a block that ended well another session sees 1 row(s) instead of 2")
class StaysInTransactions(_Lingering):
    """After a block that ended well the driver begins the next transaction by itself."""

    def _commit(self) -> None:
        super()._commit()
        self.due = self.in_atomic_block is False


@wrong("DJTX-005", says="a block that raised another session sees 2 row(s) instead of 3")
class StaysInTransactionsAfterErrors(_Lingering):
    """After a block that raised the driver begins the next transaction by itself."""

    def _rollback(self) -> None:
        super()._rollback()
        self.due = True


@wrong("DJTX-006", says="before commit() another session sees 1 row(s) instead of 0")
class AlwaysAutocommit(DatabaseWrapper):
    """set_autocommit(False) is only noted."""

    def _set_autocommit(self, autocommit: bool) -> None:
        self.connection.isolation_level = None


@wrong("DJTX-007", says="with AUTOCOMMIT = False, before commit() another session sees 1 row(s) instead of 0")
class IgnoresAutocommitSetting(DatabaseWrapper):
    """AUTOCOMMIT = False is ignored."""

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.set_autocommit(True)


@wrong("DJTX-008", says="after close() without commit() another session sees 1 row(s) instead of 0")
class CloseCommits(DatabaseWrapper):
    """close commits."""

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.commit()
        super()._close()


@wrong("DJTX-009", says="an on_commit function ran before the block's end")
class HooksRunAtOnce(DatabaseWrapper):
    """on_commit runs its function at once."""

    def on_commit(self, func: Any, robust: bool = False) -> None:
        func()


@wrong("DJTX-009", says="of a block that raised was run")
class HooksSurviveRollback(DatabaseWrapper):
    """The functions of a block that raised are kept."""

    features_class = _ProbingFeatures

    def rollback(self) -> None:
        kept = self.run_on_commit
        super().rollback()
        self.run_on_commit = kept

    run_on_commit: Any = ()


@wrong("DJTX-010", says="raised TransactionManagementError")
class ErrorsEndTheTransaction(DatabaseWrapper):
    """An error rolls the whole transaction back, and nobody is told."""

    def make_cursor(self, cursor: Any) -> Any:
        return _RollingBack(cursor, self)


class _RollingBack(CursorWrapper):
    def execute(self, sql: str, params: Any = None) -> Any:
        try:
            return super().execute(sql, params)
        except utils.IntegrityError:
            self.db.connection.rollback()
            raise


class _ClaimsTransactionalDDL(SQLiteFeatures):
    can_rollback_ddl = True


@wrong("DJTX-011", says="can_rollback_ddl is true, and a table made in a block that raised is there")
class DDLCommits(DatabaseWrapper):
    """DDL commits, and the features say otherwise."""

    features_class = _ClaimsTransactionalDDL

    def make_cursor(self, cursor: Any) -> Any:
        return _CommittingDDL(cursor, self)


class _CommittingDDL(CursorWrapper):
    def execute(self, sql: str, params: Any = None) -> Any:
        if sql.startswith("CREATE TABLE"):
            self.db.connection.commit()
            super().execute(sql, params)
            self.db.connection.commit()
            return super().execute("BEGIN")
        return super().execute(sql, params)


@wrong("DJTX-012", says="chunked_cursor() sees 0 of its own block's 1 row(s)")
class ChunksElsewhere(DatabaseWrapper):
    """chunked_cursor opens a session of its own."""

    def chunked_cursor(self) -> Any:
        other = SQLiteWrapper.get_new_connection(self, self.get_connection_params())
        return self.make_cursor(other.cursor(factory=type(self.create_cursor())))


@wrong("DJTX-013", says="a commit that failed")
class SwallowsFailedCommits(DatabaseWrapper):
    """A commit that fails is only logged."""

    def commit(self) -> None:
        try:
            super().commit()
        except utils.Error:
            self._rollback()


@wrong("DJTX-014", says="after an INSERT that followed a chunked_cursor() another session sees 1 row(s) instead of 2")
class NoAutocommitAfterChunks(DatabaseWrapper):
    """A chunked cursor outside of a block opens a transaction, and nobody ends it."""

    def chunked_cursor(self) -> Any:
        self.connection.isolation_level = ""
        return super().chunked_cursor()


# Errors


@wrong("DJERR-001", says="the first failed open raised sqlite3.OperationalError")
class RawAtConnect(DatabaseWrapper):
    """The driver's error at connect is not translated."""

    def ensure_connection(self) -> None:
        if self.connection is None:
            if self.in_atomic_block and self.closed_in_transaction:
                raise utils.ProgrammingError("Cannot open a new connection in an atomic block.")
            self.connect()


@wrong("DJERR-001", says="the error's __cause__ is None")
class NoCauseAtConnect(DatabaseWrapper):
    """A failed open is reported without its cause."""

    def get_new_connection(self, conn_params: Any) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except Database.Error:
            raise utils.OperationalError("cannot connect") from None


class _Bare:
    """A cursor that translates nothing."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._cursor.close()

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@wrong("DJERR-002", says="raised sqlite3.OperationalError, not django.db.utils.DatabaseError")
class RawAtExecute(DatabaseWrapper):
    """Cursors translate no errors."""

    def make_cursor(self, cursor: Any) -> Any:
        return _Bare(cursor)


class _Blunt(CursorWrapper):
    def execute(self, sql: str, params: Any = None) -> Any:
        try:
            return super().execute(sql, params)
        except utils.IntegrityError as error:
            raise utils.OperationalError(*error.args) from error.__cause__


@wrong("DJERR-003", says="a duplicate key raised django.db.utils.OperationalError, not django.db.utils.IntegrityError")
class NoIntegrityError(DatabaseWrapper):
    """A duplicate key raises OperationalError."""

    def make_cursor(self, cursor: Any) -> Any:
        return _Blunt(cursor, self)


class _RawFetching(CursorWrapper):
    def fetchall(self) -> Any:
        return self.cursor.fetchall()


@wrong("DJERR-004", says="fetchall() of a closed cursor raised sqlite3.ProgrammingError, not Django's")
class RawAtFetch(DatabaseWrapper):
    """fetchall is the driver's own."""

    def make_cursor(self, cursor: Any) -> Any:
        return _RawFetching(cursor, self)


@wrong("DJERR-005", says="commit() that the driver refuses raised sqlite3.OperationalError")
class RawAtCommit(DatabaseWrapper):
    """The driver's error at commit is not translated."""

    def _commit(self) -> None:
        if self.connection is not None:
            self.connection.commit()


@wrong("DJERR-005", says="commit() that the driver refuses raised nothing")
class SwallowsAtCommit(DatabaseWrapper):
    """An error at commit is swallowed: half the time nobody is told."""

    told = False

    def _commit(self) -> None:
        try:
            super()._commit()
        except utils.Error:
            self.told = not self.told
            if self.told:
                raise


@wrong("DJERR-006", says="rollback() that the driver refuses raised sqlite3.OperationalError")
class RawAtRollback(DatabaseWrapper):
    """The driver's error at rollback is not translated."""

    def _rollback(self) -> None:
        if self.connection is not None:
            self.connection.rollback()


@wrong("DJERR-007", says="close() that the driver refuses raised sqlite3.OperationalError")
class RawAtClose(DatabaseWrapper):
    """The driver's error at close is not translated."""

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()


class _AllDatabaseErrors:
    """Translates everything into DatabaseError."""

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, value: Any, _trace: Any) -> None:
        if isinstance(value, self.wrapper.Database.Error):
            self.wrapper.errors_occurred = True
            raise utils.DatabaseError(*value.args) from value

    def __call__(self, function: Any) -> Any:
        def inner(*arguments: Any, **named: Any) -> Any:
            with self:
                return function(*arguments, **named)

        return inner


@wrong("DJERR-008", says="the driver's DataError arrived as DatabaseError")
class OneErrorForAll(DatabaseWrapper):
    """Every error arrives as DatabaseError."""

    wrap_database_errors = property(_AllDatabaseErrors)


class _Everything(_AllDatabaseErrors):
    def __exit__(self, _kind: Any, value: Any, _trace: Any) -> None:
        if isinstance(value, Exception):
            raise utils.DatabaseError(str(value)) from value


@wrong("DJERR-009", says="a ZeroDivisionError arrived as DatabaseError")
class DressesMistakesUp(DatabaseWrapper):
    """Any exception at all arrives as DatabaseError."""

    wrap_database_errors = property(_Everything)


class _NoFlag(_AllDatabaseErrors):
    def __exit__(self, _kind: Any, value: Any, _trace: Any) -> None:
        for name in ("IntegrityError", "OperationalError", "ProgrammingError", "DatabaseError"):
            if isinstance(value, getattr(self.wrapper.Database, name)):
                raise getattr(utils, name)(*value.args) from value


@wrong("DJERR-010", says="after an OperationalError errors_occurred is not set")
class SetsNoFlag(DatabaseWrapper):
    """Errors are translated by its own means, without Django's flag."""

    wrap_database_errors = property(_NoFlag)


# Dead connections


@wrong("DJDEAD-001", says="is_usable() is false for a connection that works")
class NeverUsable(DatabaseWrapper):
    """is_usable is never true."""

    def is_usable(self) -> bool:
        return False


@wrong("DJDEAD-002", says="is_usable() is true for a session that has ended")
class AlwaysUsable(DatabaseWrapper):
    """is_usable only looks whether there is a connection."""

    def is_usable(self) -> bool:
        return self.connection is not None


@wrong("DJDEAD-002", says="is_usable() of a session that has ended raised ProgrammingError")
class RaisesWhenDead(DatabaseWrapper):
    """is_usable raises for a dead connection."""

    def is_usable(self) -> bool:
        self.connection.execute("SELECT 1").close()
        return True


@wrong("DJDEAD-003", says="after a close that the driver refused, the connection is kept")
class KeepsWhatItCannotClose(DatabaseWrapper):
    """A close that raises leaves the dead connection in place."""

    def close(self) -> None:
        self.validate_thread_sharing()
        if self.connection is not None:
            self._close()
            self.connection = None


@wrong("DJDEAD-004", says="after the session's end in a block an INSERT was run; 1 row(s) were kept")
class RevivesInABlock(DatabaseWrapper):
    """A lost session is replaced in silence, in a block too."""

    def create_cursor(self, name: Any = None) -> Any:
        try:
            return super().create_cursor(name)
        except Database.ProgrammingError:
            self.connection = SQLiteWrapper.get_new_connection(self, self.get_connection_params())
            self._set_autocommit(True)
            return super().create_cursor(name)


@wrong("DJDEAD-005", says="in the request after a block that lost its session a query raised")
class NeverRecovers(DatabaseWrapper):
    """A block that lost its session leaves the wrapper in it."""

    def close(self) -> None:
        if self.connection is not None and not self.is_usable():
            return
        super().close()


@wrong("DJDEAD-006", says="with CONN_HEALTH_CHECKS, after the session's end between two requests, a query raised")
class NoHealthChecks(DatabaseWrapper):
    """CONN_HEALTH_CHECKS does nothing."""

    def close_if_health_check_failed(self) -> None:
        pass


@wrong("DJDEAD-007", says="in the request after an error on a session that has ended a query raised")
class NeverRecycles(DatabaseWrapper):
    """What happened in a request is forgotten at its end."""

    def close_if_unusable_or_obsolete(self) -> None:
        self.errors_occurred = False
        super().close_if_unusable_or_obsolete()


@wrong("DJDEAD-008", says="with CONN_MAX_AGE = 0 the connection is kept at a request's end")
class IgnoresMaximumAge(DatabaseWrapper):
    """CONN_MAX_AGE is ignored."""

    def connect(self) -> None:
        super().connect()
        self.close_at = None


@wrong("DJDEAD-009", says="after close() of a session that has ended, the connection is kept")
class KeepsTheDead(DatabaseWrapper):
    """close asks the database first, and gives up when there is no answer."""

    def close(self) -> None:
        if self.connection is not None:
            with self.wrap_database_errors:
                self.connection.execute("SELECT 1").close()
        super().close()


# Savepoints


@wrong("DJERR-011", says="savepoint_rollback() of a savepoint that there is not raised sqlite3.OperationalError")
class SavepointsBesideTheCursor(DatabaseWrapper):
    """Going back to a savepoint is sent past Django's cursor, and its error is the driver's."""

    def _savepoint_rollback(self, sid: str) -> None:
        self.connection.execute(self.ops.savepoint_rollback_sql(sid)).close()


@wrong("DJERR-011", says="the driver's OperationalError arrived as DatabaseError")
class SavepointsOfOneClass(DatabaseWrapper):
    """Whatever happens at a savepoint's end is a DatabaseError."""

    def _savepoint_commit(self, sid: str) -> None:
        try:
            self.connection.execute(self.ops.savepoint_commit_sql(sid)).close()
        except Database.Error as error:
            raise utils.DatabaseError(*error.args) from error


@wrong("DJERR-011", says="the error's __cause__ is None, not the driver's")
class SavepointsWithoutCause(DatabaseWrapper):
    """The driver's error at a savepoint is hidden."""

    def _savepoint_rollback(self, sid: str) -> None:
        try:
            self.connection.execute(self.ops.savepoint_rollback_sql(sid)).close()
        except Database.Error as error:
            raise utils.OperationalError(*error.args) from None


@wrong("DJERR-012", says="savepoint() that the driver refuses raised sqlite3.OperationalError")
class SavepointsAreMadeBeside(DatabaseWrapper):
    """A savepoint is made past Django's cursor, and its error is the driver's."""

    def _savepoint(self, sid: str) -> None:
        self.connection.execute(self.ops.savepoint_create_sql(sid)).close()
