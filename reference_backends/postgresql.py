"""PostgreSQL, by psycopg 3.

Session settings are set by one statement after the open, not by libpq's ``options``: poolers refuse those, and
so one statement serves the first open and each acquisition alike. Transactions are begun in words, since psycopg's
own implicit ones start with the first statement. Source: psycopg's documentation; PostgreSQL's "DISCARD", "libpq:
Parameter Key Words" and "Appendix A. Error Codes"; PgBouncer's "SQL feature map for pooling modes".
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, cast
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    CredentialSource,
    ErrorClasses,
    ImproperlyConfigured,
    NotSupportedError,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsCancel,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsIsBroken,
    SupportsNamedCursor,
    SupportsPing,
    SupportsReadOnly,
    SupportsRenew,
    SupportsReset,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

try:
    import psycopg
except ImportError as error:  # also raised where psycopg is there and libpq is not
    raise ImproperlyConfigured(
        f"the PostgreSQL backend needs psycopg ({error}): pip install 'backend-sdk[postgresql]'"
    ) from error

from psycopg import errors, pq, rows, sql
from psycopg.adapt import AdaptersMap

from ._postgresql.cursors import PostgreSQLCursor, PostgreSQLServerCursor, RowT, cursor_class, server_cursor_class
from ._postgresql.settings import (
    SHARED_SESSION,
    PostgreSQLOptions,
    PostgreSQLParams,
    PostgreSQLSettings,
    connection_params,
    local_settings,
    session_settings,
    set_config,
)

__all__ = [
    "PostgreSQLBackend", "PostgreSQLCursor", "PostgreSQLOptions", "PostgreSQLParams", "PostgreSQLServerCursor",
    "PostgreSQLSettings",
]  # fmt: skip

# What DISCARD ALL does, but for DEALLOCATE ALL: that would empty the server's prepared statements behind
# psycopg's cache of them. First the question whether a user left any that psycopg cannot know (PREPARE), or
# temporary tables, which psycopg's may refer to.
_RESET = b"""\
SET SESSION AUTHORIZATION DEFAULT; RESET ALL;
SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()),
       ARRAY(SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql);
CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();
DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES"""

# Class 08 is the connection; these end the session too: shutdown, crash, and the server's own time limits.
_DISCONNECTS = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})

# By libpq's plain numbers: a member of an enumeration takes longer to make than the rest of the look.
_STATUS = {
    int(pq.TransactionStatus.IDLE): TransactionStatus.IDLE,
    int(pq.TransactionStatus.INTRANS): TransactionStatus.IN_TRANSACTION,
    int(pq.TransactionStatus.INERROR): TransactionStatus.FAILED,
}
_UNKNOWN, _BAD = TransactionStatus.UNKNOWN, int(pq.ConnStatus.BAD)


SettingsT = TypeVar("SettingsT", bound=PostgreSQLSettings, default=PostgreSQLSettings)


_as_made: WeakKeyDictionary[psycopg.Connection[Any], tuple[AdaptersMap, int | None]] = WeakKeyDictionary()
"""What each connection had before its first user: its adapters, and how many statements it keeps. Not the backend's
own: a session that a thread keeps between scopes may be reset by another, equal one."""


class PostgreSQLBackend(
    SupportsPing[psycopg.Connection[RowT]],
    SupportsIsBroken[psycopg.Connection[RowT]],
    SupportsTransactionStatus[psycopg.Connection[RowT]],
    SupportsReset[psycopg.Connection[RowT]],
    SupportsRenew[psycopg.Connection[RowT]],
    SupportsTransactions[psycopg.Connection[RowT]],
    SupportsAutocommit[psycopg.Connection[RowT]],
    SQLSavepoints[psycopg.Connection[RowT]],
    SupportsTransactionalDDL,
    SupportsReadOnly[psycopg.Connection[RowT]],
    SupportsCancel[psycopg.Connection[RowT]],
    SupportsServerVersion[psycopg.Connection[RowT]],
    SupportsNamedCursor[psycopg.Connection[RowT], PostgreSQLCursor[RowT]],
    SupportsExpiringCredentials,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[SettingsT, PostgreSQLParams, psycopg.Connection[RowT], PostgreSQLCursor[RowT]],
    Generic[SettingsT, RowT],
    vendor="postgresql",
):
    """PostgreSQL. A subclass for other rows names their type and their factory, and every cursor is typed by it::

    class Named(PostgreSQLBackend[PostgreSQLSettings, DictRow]):
        @classmethod
        def row_factory(cls) -> RowFactory[DictRow]:
            return dict_row
    """

    test_support: ClassVar[str] = "conformance.supports.postgresql:PostgreSQLSupport"

    def __init_subclass__(cls, *, vendor: str = "postgresql", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        options = self.settings.options
        self._pooled = options.pooler == "transaction"
        self._params = connection_params(self.settings)
        session = set_config(session_settings(self.settings), local=False)
        self._session = f"SELECT {session}".encode() if session else b""
        self._begin = "; ".join(["BEGIN", *local_settings(options)]).encode()
        self._cursor_class: type[PostgreSQLCursor[RowT]] = cursor_class(options)
        self._server_cursor_class: type[PostgreSQLServerCursor[RowT]] = server_cursor_class(options)
        self._row_factory = self.row_factory()

    @classmethod
    def row_factory(cls) -> rows.RowFactory[RowT]:
        """What makes the rows; to be overridden together with the class's second type argument."""
        return cast("rows.RowFactory[RowT]", rows.tuple_row)

    @property
    @override
    def abilities(self) -> frozenset[type]:
        return super().abilities - {SupportsReadOnly} if self._pooled else super().abilities

    @override
    def get_connection_params(self) -> PostgreSQLParams:
        params = self._params.copy()
        password = self.settings.reveal_password()
        if password:
            params["password"] = password
        return params

    @override
    def get_new_connection(self, params: PostgreSQLParams, /) -> psycopg.Connection[RowT]:
        options = cast("dict[str, Any]", params)
        try:
            return psycopg.Connection[RowT].connect(row_factory=self._row_factory, **options)
        except psycopg.Error as error:
            # psycopg's frames keep the error and, after a timeout, the socket: a cycle, if the error keeps them.
            error._pgconn = None  # it knows the password, and debuggers show it
            raise error.with_traceback(None) from None

    @override
    def init_connection_state(self, connection: psycopg.Connection[RowT], /) -> None:
        if connection not in _as_made:
            _as_made[connection] = AdaptersMap(connection.adapters), connection.prepared_max
        if self._session:
            _run(connection, self._session)

    @override
    def _cursor(self, connection: psycopg.Connection[RowT], /) -> PostgreSQLCursor[RowT]:
        return self._cursor_class(connection)

    @override
    def named_cursor(self, connection: psycopg.Connection[RowT], name: str, /) -> PostgreSQLCursor[RowT]:
        # Outside of a transaction it would be gone with the statement that declares it.
        hold = connection.autocommit and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        if hold and self._pooled:
            raise NotSupportedError(f"a named cursor outside of atomic() is refused: {SHARED_SESSION}")
        return self._server_cursor_class(connection, name, row_factory=connection.row_factory, withhold=hold)

    @override
    def ping(self, connection: psycopg.Connection[RowT], /) -> None:
        _run(connection, b"SELECT 1")

    @override
    def is_broken(self, connection: psycopg.Connection[RowT], /) -> bool:
        # psycopg's own flags stay false after the server has ended the session, until something is sent.
        pgconn = connection.pgconn
        while pgconn.status != _BAD:
            if not _readable(connection):
                return False
            if _says_goodbye(pgconn.socket):
                return True
            try:
                pgconn.consume_input()
            except psycopg.OperationalError:
                return True
            while notify := pgconn.notifies():  # read here, so to be handed on here
                if pgconn.notify_handler:
                    pgconn.notify_handler(notify)
        return True

    @override
    def transaction_status(self, connection: psycopg.Connection[RowT], /) -> TransactionStatus:
        return _STATUS.get(connection.pgconn.transaction_status, _UNKNOWN)

    @override
    def reset(self, connection: psycopg.Connection[RowT], /) -> None:
        self._reset(connection)

    @override
    def renew(self, connection: psycopg.Connection[RowT], /) -> None:
        if self._pooled:
            return BaseBackend.renew(self, connection)
        connection.rollback()
        self.set_autocommit(connection, self.settings.autocommit)
        return self._reset(connection, self._session)

    def _reset(self, connection: psycopg.Connection[RowT], session: bytes = b"") -> None:
        """Reset, and in the same round trip run *session*."""
        connection.rollback()  # sends nothing when idle
        connection.row_factory = self._row_factory
        connection.cursor_factory = cast("type[psycopg.Cursor[RowT]]", psycopg.Cursor)
        connection.server_cursor_factory = cast("type[psycopg.ServerCursor[RowT]]", psycopg.ServerCursor)
        connection.prepare_threshold = self.settings.options.prepare_threshold
        adapters, connection.prepared_max = _as_made.get(connection, (None, connection.prepared_max))
        if adapters is not None:  # a copy, which the next user may register what he likes with
            connection._adapters = AdaptersMap(adapters)  # no public way replaces them
        connection.isolation_level = connection.read_only = connection.deferrable = None
        for handlers in (connection._notice_handlers, connection._notify_handlers):  # no public way takes all
            cast("list[Any]", handlers).clear()
        if self._pooled:
            return  # the server session is the pooler's to reset
        with psycopg.Cursor(connection, row_factory=rows.tuple_row) as cursor:
            cursor.execute(b"; ".join((_RESET, session)) if session else _RESET, prepare=False)
            cursor.nextset()
            cursor.nextset()
            had_temporary_tables, names = cursor.fetchall()[0]
            for name in names:
                cursor.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(name)), prepare=False)
        if not connection.autocommit:
            connection.commit()
        if had_temporary_tables:
            # A prepared statement that used one fails for the next user, whose table has other columns. psycopg
            # forgets its own at a rollback, at the server too.
            connection.execute("BEGIN", prepare=False)
            connection.rollback()

    @override
    def begin(self, connection: psycopg.Connection[RowT], /) -> None:
        # Without autocommit psycopg itself begins, before whatever it is given.
        connection.execute(self._begin if connection.autocommit else b"", prepare=False)

    @override
    def commit(self, connection: psycopg.Connection[RowT], /) -> None:
        if connection.pgconn.transaction_status == pq.TransactionStatus.INERROR:
            raise errors.InFailedSqlTransaction("a statement failed, so COMMIT would silently roll back")
        connection.commit()

    @override
    def rollback(self, connection: psycopg.Connection[RowT], /) -> None:
        connection.rollback()

    @override
    def set_autocommit(self, connection: psycopg.Connection[RowT], autocommit: bool, /) -> None:
        if connection.autocommit != autocommit:
            connection.autocommit = autocommit

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def set_read_only(self, connection: psycopg.Connection[RowT], read_only: bool, /) -> None:
        if self._pooled:
            raise NotSupportedError(
                f"set_read_only is refused: {SHARED_SESSION}; inside atomic(): SET TRANSACTION READ ONLY"
            )
        _run(connection, b"SET default_transaction_read_only = " + (b"on" if read_only else b"off"))

    @override
    def cancel(self, connection: psycopg.Connection[RowT], /) -> None:
        connection.cancel_safe()

    @override
    def server_version(self, connection: psycopg.Connection[RowT], /) -> tuple[int, ...]:
        return divmod(connection.pgconn.server_version, 10_000)

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        state = error.sqlstate if isinstance(error, psycopg.Error) else None
        if state is None:  # libpq's own words: the server went away without any
            return isinstance(error, psycopg.OperationalError)
        return state.startswith("08") or state in _DISCONNECTS

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return cast("ErrorClasses", psycopg)

    @property
    @override
    def threadsafety(self) -> int:
        return psycopg.threadsafety

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        return frozenset({"password"}) if isinstance(self.settings.password, CredentialSource) else frozenset()


def _run(connection: psycopg.Connection[Any], statement: bytes) -> None:
    """Run a statement for ourselves; without autocommit, leave no transaction open that was not."""
    idle = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    connection.execute(statement, prepare=False)
    if idle and not connection.autocommit:
        connection.commit()


def _readable(connection: Any) -> bool:
    """Whether there is something to be read. The connection keeps what tells: making it takes longer than asking."""
    try:
        return bool(connection._look(0))
    except AttributeError:  # the first time
        connection._look = _poll(connection.pgconn.socket)
    except RuntimeError:  # another thread asks at this very moment, and a poll object serves one at a time
        pass
    return bool(_poll(connection.pgconn.socket)(0))


def _poll(fileno: int) -> Callable[[int], Sequence[object]]:
    if not hasattr(select, "poll"):  # Windows, where it is not limited to small numbers
        return lambda timeout: select.select([fileno], [], [], timeout)[0]
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return poll.poll


def _says_goodbye(fileno: int) -> bool:
    """Whether what can be read is the end, or an error that nobody asked for: the server's last words.

    Over TLS only the end can be seen; the last words are then followed by it.
    """
    look = socket.socket(fileno=fileno)
    try:
        return look.recv(1, socket.MSG_PEEK) in {b"", b"E"}
    except OSError:  # reset
        return True
    finally:
        look.detach()  # it is libpq's
