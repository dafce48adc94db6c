"""PostgreSQL, by psycopg 3.

Session settings are set by one statement after the open, not by libpq's ``options``: poolers refuse those, and
so one statement serves the first open and each acquisition alike. Transactions are begun in words, since psycopg's
own implicit ones start with the first statement. Source: psycopg's documentation; PostgreSQL's "DISCARD", "libpq:
Parameter Key Words" and "Appendix A. Error Codes"; PgBouncer's "SQL feature map for pooling modes".
"""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypedDict, cast

from pydantic import Field, SecretStr, field_validator, model_validator
from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    ConnectionSettings,
    CredentialSource,
    ErrorClasses,
    FrozenDict,
    ImproperlyConfigured,
    NotSupportedError,
    Options,
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
from psycopg.client_cursor import ClientCursorMixin

__all__ = [
    "PostgreSQLBackend", "PostgreSQLCursor", "PostgreSQLOptions", "PostgreSQLParams", "PostgreSQLServerCursor",
    "PostgreSQLSettings",
]  # fmt: skip

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

# Options that PgBouncer's transaction mode cannot keep: the server session changes hands after each transaction.
_SESSION_OPTIONS = ("role", "search_path", "isolation_level", "read_only", "session_settings", *_TIMEOUTS)
_SHARED_SESSION = (
    'pooler="transaction" hands the server session to another client after each transaction, who would see this or '
    "lose it"
)

# The same as statements. SET LOCAL and SET TRANSACTION end with the transaction, as does a lock of the xact kind.
_SESSION_STATEMENT = re.compile(
    r"""(?:^|;) (?:\s|--[^\n]*\n|/\*.*?\*/)* (?:
        SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b) | RESET\b | LISTEN\b | UNLISTEN\b | DISCARD\b | LOAD\b
        | PREPARE\s+(?!TRANSACTION\b) | DEALLOCATE\b | DECLARE\b.*\bWITH\s+HOLD\b
        | CREATE\s+(?:(?:LOCAL|GLOBAL)\s+)?TEMP(?:ORARY)?\b(?!.*\bON\s+COMMIT\s+DROP\b)
    ) | \bpg_(?:try_)?advisory_(?:lock|unlock) | \bset_config\s*\([^()]*,\s*(?:false|'f(?:alse)?')\s*\)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

# What DISCARD ALL does, but for DEALLOCATE ALL: that would empty the server's prepared statements behind
# psycopg's cache of them. First the question whether a user left any that psycopg cannot know (PREPARE), or
# temporary tables, which psycopg's may refer to.
_RESET = """\
SET SESSION AUTHORIZATION DEFAULT; RESET ALL;
SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()),
       ARRAY(SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql);
CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();
DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES"""

# Class 08 is the connection; these end the session too: shutdown, crash, and the server's own time limits.
_DISCONNECTS = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})

_STATUS = {
    pq.TransactionStatus.IDLE: TransactionStatus.IDLE,
    pq.TransactionStatus.INTRANS: TransactionStatus.IN_TRANSACTION,
    pq.TransactionStatus.INERROR: TransactionStatus.FAILED,
}

SettingValue = bool | int | str


class PostgreSQLOptions(Options, frozen=True):
    """libpq's names where there is one; times are seconds. None leaves to the server, or to libpq, what it does.

    ``session_settings`` takes any other setting; ``transaction_settings`` are set with each ``atomic()``, by SET LOCAL.
    """

    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    sslpassword: SecretStr | None = None
    sslcrl: str | None = None
    channel_binding: Literal["disable", "prefer", "require"] | None = None
    service: str | None = None
    passfile: str | None = None
    connect_timeout: int | None = Field(default=None, ge=1)
    target_session_attrs: Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] | None = (
        None
    )
    load_balance_hosts: Literal["disable", "random"] | None = None
    keepalives: bool | None = None
    keepalives_idle: int | None = Field(default=None, ge=0)
    keepalives_interval: int | None = Field(default=None, ge=0)
    keepalives_count: int | None = Field(default=None, ge=0)
    tcp_user_timeout: float | None = Field(default=None, ge=0)
    application_name: str | None = None
    client_encoding: str | None = None

    pooler: Literal["session", "transaction"] | None = None
    prepare_threshold: int | None = Field(default=None, ge=0)
    server_side_binding: bool = True

    role: str | None = None
    search_path: tuple[str, ...] = ()
    statement_timeout: float | None = Field(default=None, ge=0)
    lock_timeout: float | None = Field(default=None, ge=0)
    idle_in_transaction_session_timeout: float | None = Field(default=None, ge=0)
    isolation_level: Literal["read uncommitted", "read committed", "repeatable read", "serializable"] | None = None
    read_only: bool = False
    session_settings: Mapping[str, SettingValue] = FrozenDict()
    transaction_settings: Mapping[str, SettingValue] = FrozenDict()

    @field_validator("search_path", mode="before")
    @classmethod
    def _path_from_text(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("isolation_level", mode="before")
    @classmethod
    def _level_from_text(cls, value: object) -> object:
        return value.lower().replace("_", " ").replace("-", " ") if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _prepare_where_possible(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "prepare_threshold" not in values and values.get("pooler") != "transaction":
            return {**values, "prepare_threshold": 5}  # psycopg's own default
        return values

    @model_validator(mode="after")
    def _only_what_the_pooler_keeps(self) -> Self:
        if self.pooler == "transaction":
            if self.prepare_threshold is not None:
                raise ValueError(
                    f"prepare_threshold is refused: {_SHARED_SESSION}, so prepared statements get lost; leave it out"
                )
            for name in _SESSION_OPTIONS:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"{name} is refused: {_SHARED_SESSION}; give what can be set with each transaction as "
                        'transaction_settings={"search_path": "...", "role": "...", "transaction_isolation": "..."}'
                    )
        return self


class PostgreSQLSettings(ConnectionSettings, frozen=True):
    """HOST and PORT may name several servers: ``HOST="a,b", PORT=(5432, 5433)``; a path is a socket's folder."""

    engine: str = "postgresql"
    options: PostgreSQLOptions = PostgreSQLOptions()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.name and not self.options.service:
            raise ValueError("NAME is missing: name a database, or give OPTIONS service")
        if isinstance(self.port, tuple) and len(self.port) != self.host.count(",") + 1:
            raise ValueError("PORT gives another number of servers than HOST; give one for each, or one for all")
        if self.options.pooler == "transaction" and self.time_zone:
            raise ValueError(
                f'TIME_ZONE is refused: {_SHARED_SESSION}; give OPTIONS transaction_settings={{"TimeZone": ...}}'
            )
        if self.options.transaction_settings and not self.autocommit:
            raise ValueError("OPTIONS transaction_settings are set by atomic(), so AUTOCOMMIT must not be False")
        return self


class PostgreSQLParams(TypedDict, total=False):
    """``psycopg.connect``'s keyword arguments."""

    dbname: str
    user: str
    password: str
    host: str
    port: str
    prepare_threshold: int | None
    sslmode: str
    sslrootcert: str
    sslcert: str
    sslkey: str
    sslpassword: str
    sslcrl: str
    channel_binding: str
    service: str
    passfile: str
    connect_timeout: int
    target_session_attrs: str
    load_balance_hosts: str
    keepalives: int
    keepalives_idle: int
    keepalives_interval: int
    keepalives_count: int
    tcp_user_timeout: int
    application_name: str
    client_encoding: str


_LIBPQ_OPTIONS = PostgreSQLParams.__optional_keys__ - {
    "dbname", "user", "password", "host", "port", "prepare_threshold"
}  # fmt: skip

RowT = TypeVar("RowT", default=rows.TupleRow)


class PostgreSQLCursor(CheckedCursor, psycopg.Cursor[RowT], Generic[RowT], also=("scroll",)):
    """psycopg's cursor, checked; ``copy`` and ``stream`` too. Not slotted: psycopg's server cursor has slots itself.

    ``cursor.connection`` and ``wrapper.connection`` are psycopg's own, for ``notifies()`` and ``pipeline()``.
    """

    # Type checkers see the driver's own signatures: the methods add checks, not meaning.
    if not TYPE_CHECKING:

        @contextmanager
        def copy(self, *args, **options):
            guard = self._guard
            guard.check_statement("copy")
            try:
                with super().copy(*args, **options) as copy:
                    yield copy
            except guard.errors.caught as error:
                raise guard.failure(error, "copy") from error

        def stream(self, *args, **options):
            guard = self._guard
            guard.check_statement("stream")
            try:
                yield from super().stream(*args, **options)
            except guard.errors.caught as error:
                raise guard.failure(error, "stream") from error


class PostgreSQLServerCursor(PostgreSQLCursor[RowT], psycopg.ServerCursor[RowT], Generic[RowT]):
    """A named cursor: the rows stay at the server until fetched, ``itersize`` at a time while iterating."""

    if not TYPE_CHECKING:

        def close(self):
            try:
                super().close()
            except self._guard.errors.caught as error:  # it talks to the server
                raise self._guard.failure(error, "close") from error


class _ClientBinding(PostgreSQLCursor[RowT], ClientCursorMixin["psycopg.Connection[Any]", RowT], Generic[RowT]):
    """Parameters are put into the text by psycopg."""


class _ClientBindingServer(
    PostgreSQLServerCursor[RowT], ClientCursorMixin["psycopg.Connection[Any]", RowT], Generic[RowT]
):
    """The same, as a named cursor."""


class _TransactionOnly:
    """Refuses the statements whose effect outlasts the transaction, before they are sent. Goes before a cursor class.

    It reads the statement's words, so what a function or a ``DO`` block does inside is not seen.
    """

    if not TYPE_CHECKING:

        def execute(self, operation=None, params=None, /, **options):
            _refuse_session_statement(self, operation)
            return super().execute(operation, params, **options)

        def executemany(self, operation=None, params=None, /, **options):
            _refuse_session_statement(self, operation)
            return super().executemany(operation, params, **options)

        def stream(self, operation, *args, **options):
            _refuse_session_statement(self, operation)
            return super().stream(operation, *args, **options)


def _refuse_session_statement(cursor: Any, operation: object) -> None:
    if isinstance(operation, sql.Composable):
        operation = operation.as_string(cursor)
    text = operation.decode() if isinstance(operation, bytes) else str(operation)
    found = _SESSION_STATEMENT.search(text)
    if found is not None:
        raise NotSupportedError(
            f"{' '.join(found.group().lstrip(';').split())}: refused, since {_SHARED_SESSION}; "
            "inside atomic() use SET LOCAL, pg_advisory_xact_lock, ON COMMIT DROP"
        )


class _PooledCursor(_TransactionOnly, PostgreSQLCursor[RowT], Generic[RowT]):
    """In transaction mode."""


class _PooledClientBinding(_TransactionOnly, _ClientBinding[RowT], Generic[RowT]):
    """In transaction mode."""


SettingsT = TypeVar("SettingsT", bound=PostgreSQLSettings, default=PostgreSQLSettings)


class PostgreSQLBackend(
    SupportsPing[psycopg.Connection[RowT]],
    SupportsIsBroken[psycopg.Connection[RowT]],
    SupportsTransactionStatus[psycopg.Connection[RowT]],
    SupportsReset[psycopg.Connection[RowT]],
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
        self._params = _connection_params(self.settings)
        session = _set_config(_session_settings(self.settings), local=False)
        self._session = f"SELECT {session}".encode() if session else b""
        self._begin = "; ".join(["BEGIN", *_local_settings(options)]).encode()
        self._cursor_class: type[PostgreSQLCursor[RowT]] = _cursor_class(options)
        self._server_cursor_class: type[PostgreSQLServerCursor[RowT]] = _server_cursor_class(options)
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
            raise NotSupportedError(f"a named cursor outside of atomic() is refused: {_SHARED_SESSION}")
        return self._server_cursor_class(connection, name, row_factory=connection.row_factory, withhold=hold)

    @override
    def ping(self, connection: psycopg.Connection[RowT], /) -> None:
        _run(connection, b"SELECT 1")

    @override
    def is_broken(self, connection: psycopg.Connection[RowT], /) -> bool:
        # psycopg's own flags stay false after the server has ended the session, until something is sent.
        pgconn = connection.pgconn
        while pgconn.status != pq.ConnStatus.BAD:
            if not _readable(pgconn.socket):
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
        return _STATUS.get(pq.TransactionStatus(connection.pgconn.transaction_status), TransactionStatus.UNKNOWN)

    @override
    def reset(self, connection: psycopg.Connection[RowT], /) -> None:
        connection.rollback()  # sends nothing when idle
        connection.row_factory = self._row_factory
        connection.cursor_factory = cast("type[psycopg.Cursor[RowT]]", psycopg.Cursor)
        connection.server_cursor_factory = cast("type[psycopg.ServerCursor[RowT]]", psycopg.ServerCursor)
        connection.prepare_threshold = self.settings.options.prepare_threshold
        connection.isolation_level = connection.read_only = connection.deferrable = None
        for handlers in (connection._notice_handlers, connection._notify_handlers):  # no public way takes all
            cast("list[Any]", handlers).clear()
        if self._pooled:
            return  # the server session is the pooler's to reset
        with psycopg.Cursor(connection, row_factory=rows.tuple_row) as cursor:
            cursor.execute(_RESET, prepare=False)
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
                f"set_read_only is refused: {_SHARED_SESSION}; inside atomic(): SET TRANSACTION READ ONLY"
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


def _connection_params(settings: PostgreSQLSettings) -> PostgreSQLParams:
    """All but the password, which may expire."""
    options = settings.options
    given: dict[str, Any] = {name: getattr(options, name) for name in _LIBPQ_OPTIONS}
    if options.sslpassword is not None:
        given["sslpassword"] = options.sslpassword.get_secret_value()
    if options.keepalives is not None:
        given["keepalives"] = int(options.keepalives)
    if options.tcp_user_timeout is not None:
        given["tcp_user_timeout"] = round(options.tcp_user_timeout * 1000)
    given |= {"dbname": settings.name or None, "user": settings.user or None, "host": settings.host or None}
    ports = settings.port if isinstance(settings.port, tuple) else (settings.port,)
    given["port"] = ",".join(str(port) for port in ports if port is not None) or None
    params = {name: value for name, value in given.items() if value is not None}
    return cast("PostgreSQLParams", {**params, "prepare_threshold": options.prepare_threshold})


def _session_settings(settings: PostgreSQLSettings) -> dict[str, SettingValue]:
    options = settings.options
    found = dict(options.session_settings)
    if settings.time_zone:
        found["TimeZone"] = settings.time_zone
    if options.search_path:
        found["search_path"] = ", ".join('"' + part.replace('"', '""') + '"' for part in options.search_path)
    if options.isolation_level:
        found["default_transaction_isolation"] = options.isolation_level
    if options.read_only:
        found["default_transaction_read_only"] = True
    for name in _TIMEOUTS:
        seconds = getattr(options, name)
        if seconds is not None:
            found[name] = max(1, round(seconds * 1000)) if seconds else 0  # 0 would mean no limit at all
    if options.role:
        found["role"] = options.role  # last: the role may not be allowed the others
    return found


def _set_config(settings: Mapping[str, SettingValue], *, local: bool) -> str:
    """A select list that sets them all. Unlike SET it takes any value as text, a search path as well as a role."""
    return ", ".join(
        f"pg_catalog.set_config({_literal(name)}, {_literal(value)}, {str(local).lower()})"
        for name, value in settings.items()
    )


def _local_settings(options: PostgreSQLOptions) -> list[str]:
    """Statements for the start of each transaction. The isolation level is taken only before the first query."""
    of_transaction = {
        name: value for name, value in options.transaction_settings.items() if name.startswith("transaction_")
    }
    others = {name: value for name, value in options.transaction_settings.items() if name not in of_transaction}
    statements = [f'SET LOCAL "{name}" = {_literal(value)}' for name, value in of_transaction.items()]
    if others:
        statements.append(f"SELECT {_set_config(others, local=True)}")
    return statements


def _server_cursor_class(options: PostgreSQLOptions) -> type[PostgreSQLServerCursor[Any]]:
    return PostgreSQLServerCursor if options.server_side_binding else _ClientBindingServer


def _literal(value: SettingValue) -> str:
    text = ("off", "on")[value] if isinstance(value, bool) else str(value)
    return sql.Literal(text).as_string(None)


def _cursor_class(options: PostgreSQLOptions) -> type[PostgreSQLCursor[Any]]:
    if options.pooler == "transaction":
        return _PooledCursor if options.server_side_binding else _PooledClientBinding
    return PostgreSQLCursor if options.server_side_binding else _ClientBinding


def _run(connection: psycopg.Connection[Any], statement: bytes) -> None:
    """Run a statement for ourselves; without autocommit, leave no transaction open that was not."""
    idle = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    connection.execute(statement, prepare=False)
    if idle and not connection.autocommit:
        connection.commit()


def _readable(fileno: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])  # Windows, where it is not limited to small numbers


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
