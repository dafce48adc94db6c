"""SQLite, by the standard library's driver or any module of its shape (``pysqlite3``).

The driver stays in its own autocommit (``isolation_level=None``) and transactions are begun in words, so they
begin when they say, on every Python alike; 3.12's ``autocommit`` attribute is left at its default. Source:
the sqlite3 module's documentation, "Transaction control"; SQLite's "PRAGMA statements" and "URI filenames".
"""

from __future__ import annotations

import gc
import importlib
import sqlite3
from functools import lru_cache
from types import new_class
from typing import Any, cast

from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    ErrorClasses,
    ImproperlyConfigured,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsCancel,
    SupportsClose,
    SupportsConfigure,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken,
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

from ._sqlite3.pragmas import pragmas_of, refuse_unknown_pragmas, reset_script
from ._sqlite3.settings import (
    SQLiteFunction,
    SQLiteOptions,
    SQLiteParams,
    SQLiteSettings,
    connection_params,
    in_memory,
)

__all__ = ["SQLiteBackend", "SQLiteCursor", "SQLiteFunction", "SQLiteOptions", "SQLiteParams", "SQLiteSettings"]

_PROBE = "backend_sdk_probe"

_SWITCHES = 20  # each failure is another connection that came in between


class SQLiteCursor(CheckedCursor, sqlite3.Cursor, also=("executescript",)):
    """The driver's cursor, checked. ``executescript`` commits first, so inside ``atomic()`` it breaks the block."""

    __slots__ = ("_guard",)


@lru_cache(maxsize=8)
def _cursor_class(driver: Any) -> type[SQLiteCursor]:
    """`SQLiteCursor` over another module's cursor class."""
    if driver.Cursor is sqlite3.Cursor:
        return SQLiteCursor
    made = new_class(
        "SQLiteCursor",
        (CheckedCursor, driver.Cursor),
        {"also": ("executescript",)},
        lambda body: body.update(__slots__=("_guard",), __doc__=SQLiteCursor.__doc__, __module__=__name__),
    )
    return cast("type[SQLiteCursor]", made)


SettingsT = TypeVar("SettingsT", bound=SQLiteSettings, default=SQLiteSettings)


class SQLiteBackend(
    SupportsConfigure[sqlite3.Connection],
    SupportsClose[sqlite3.Connection],
    SupportsPing[sqlite3.Connection],
    SupportsIsBroken[sqlite3.Connection],
    SupportsTransactionStatus[sqlite3.Connection],
    SupportsReset[sqlite3.Connection],
    SupportsTransactions[sqlite3.Connection],
    SupportsAutocommit[sqlite3.Connection],
    SQLSavepoints[sqlite3.Connection],
    SupportsTransactionalDDL,
    SupportsReadOnly[sqlite3.Connection],
    SupportsCancel[sqlite3.Connection],
    SupportsServerVersion[sqlite3.Connection],
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[SettingsT, SQLiteParams, sqlite3.Connection, SQLiteCursor],
    vendor="sqlite",
):
    """SQLite. Subclass it to add what a connection needs for life (`configure_connection`) or at its start.

    Without autocommit the driver begins a transaction before INSERT, UPDATE, DELETE and REPLACE, and before nothing
    else: put DDL, or queries that must see the same data, into ``atomic()``.
    """

    test_support = "conformance.supports.sqlite:SQLiteSupport"

    def __init_subclass__(cls, *, vendor: str = "", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor or cls.vendor, **options)

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        options = self.settings.options
        self._driver = _load_driver(options.driver)
        self._cursor_class = _cursor_class(self._driver)
        self._params = connection_params(self.settings)
        refuse_unknown_pragmas(self._driver, options)
        pragmas = pragmas_of(options)
        self._pragmas = tuple(f"PRAGMA {name}={value}" for name, value in pragmas.items())
        self._set_anew = frozenset(pragmas)  # by init_connection_state, so reset leaves them to it
        self._begin = f"BEGIN {options.transaction_mode}"

    @override
    def get_connection_params(self) -> SQLiteParams:
        return self._params.copy()

    @override
    def get_new_connection(self, params: SQLiteParams, /) -> sqlite3.Connection:
        return cast("sqlite3.Connection", self._driver.connect(**params))

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        options = self.settings.options
        if options.row_factory is not None:
            connection.row_factory = options.row_factory
        self._register(connection)

    def _register(self, connection: sqlite3.Connection) -> None:
        for name, arguments, function, deterministic in self.settings.options.functions:
            connection.create_function(name, arguments, function, deterministic=deterministic)
        for name, collation in self.settings.options.collations.items():
            connection.create_collation(name, collation)

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        try:
            if self._has_statements(connection):
                self._end_statements(connection)
        finally:
            connection.close()

    def _has_statements(self, connection: sqlite3.Connection) -> bool:
        """Whether any cursor is in the middle of its rows: SQLite lets no function be replaced then."""
        try:
            connection.create_function(_PROBE, 0, _nothing)
            connection.create_function(_PROBE, 0, None)
        except self._driver.OperationalError:
            return True
        except self._driver.ProgrammingError:  # closed
            return False
        return False

    def _end_statements(self, connection: sqlite3.Connection) -> None:
        """Close the cursors in the middle of their rows: each keeps its lock and snapshot, past a close too.

        The driver tells of no cursor, but the collector knows them all; only pysqlite3's own, bare ones it does not.
        """
        cursor_class = self._driver.Cursor
        for found in gc.get_objects():
            if issubclass(type(found), cursor_class) and getattr(found, "connection", None) is connection:
                cursor_class.close(found)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        for pragma in self._pragmas:
            if pragma.startswith("PRAGMA journal_mode"):
                self._switch_journal(connection, pragma)
            else:
                connection.execute(pragma).close()

    def _switch_journal(self, connection: sqlite3.Connection, pragma: str) -> None:
        """A switch to WAL gives up at once while another connection writes, whatever the timeout; BEGIN waits."""
        for _ in range(_SWITCHES):
            try:
                return connection.execute(pragma).close()
            except self._driver.OperationalError as error:
                if "locked" not in str(error):
                    raise
            connection.execute("BEGIN IMMEDIATE").close()
            connection.rollback()
        return connection.execute(pragma).close()

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> SQLiteCursor:
        # Not self._cursor_class(connection): the driver keeps a weak reference to each cursor made that way, which
        # only connection.cursor() ever prunes (88 bytes a cursor, for the life of the connection).
        return connection.cursor(self._cursor_class)

    @override
    def ping(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("SELECT 1").close()

    @override
    def is_broken(self, connection: sqlite3.Connection, /) -> bool:
        try:
            return connection.total_changes < 0
        except self._driver.ProgrammingError:  # closed
            return True

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION if connection.in_transaction else TransactionStatus.IDLE

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        connection.set_authorizer(None)  # first: these may forbid or interrupt what follows
        connection.set_progress_handler(None, 0)
        connection.set_trace_callback(None)
        legacy = getattr(self._driver, "LEGACY_TRANSACTION_CONTROL", None)
        if legacy is not None:  # since 3.12; in its other modes rollback() does nothing, or begins anew
            cast("Any", connection).autocommit = legacy
        connection.rollback()
        self.set_autocommit(connection, self.settings.autocommit)
        if self._has_statements(connection):
            self._end_statements(connection)
            if self._has_statements(connection):
                raise self._driver.OperationalError("a cursor of the driver's own is in the middle of its rows")
        connection.row_factory = None
        connection.text_factory = str
        for _, name, _file in connection.execute("PRAGMA database_list").fetchall():
            if name not in {"main", "temp"}:
                connection.execute(f"DETACH {_quoted(name)}")
        self._reset_pragmas(connection)
        self._register(connection)  # case_sensitive_like has put SQLite's own LIKE back
        connection.row_factory = self.settings.options.row_factory

    def _reset_pragmas(self, connection: sqlite3.Connection) -> None:
        if "locking_mode" not in self._set_anew and not in_memory(self.settings.name):
            (mode,) = connection.execute("PRAGMA locking_mode=NORMAL").fetchone()
            if mode != "normal":
                raise self._driver.OperationalError("locking_mode EXCLUSIVE cannot be left in WAL mode")
        if "journal_mode" not in self._set_anew:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            default = "memory" if in_memory(self.settings.name) else "delete"
            if mode not in {default, "wal"}:  # WAL lasts in the file
                connection.execute(f"PRAGMA journal_mode={default}").close()
        if connection.execute("SELECT 'a' LIKE 'A'").fetchone() != (1,):
            # Only where it is due: it replaces LIKE by one that no index and no generated column may use.
            connection.execute("PRAGMA case_sensitive_like=0").close()
        connection.executescript(reset_script(self._driver, self._set_anew))
        connection.execute(f"PRAGMA busy_timeout={int(self.settings.options.timeout * 1000)}").close()

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        connection.execute(self._begin).close()

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        level = None if autocommit else self.settings.options.transaction_mode
        if connection.isolation_level != level:
            connection.isolation_level = level

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def set_read_only(self, connection: sqlite3.Connection, read_only: bool, /) -> None:
        connection.execute(f"PRAGMA query_only={int(read_only or self.settings.options.read_only)}").close()

    @override
    def cancel(self, connection: sqlite3.Connection, /) -> None:
        connection.interrupt()

    @override
    def server_version(self, connection: sqlite3.Connection, /) -> tuple[int, ...]:
        return cast("tuple[int, ...]", self._driver.sqlite_version_info)

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return isinstance(error, self._driver.ProgrammingError) and "closed database" in str(error)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return cast("ErrorClasses", self._driver)

    @property
    @override
    def threadsafety(self) -> int:
        # The module says 3, which is SQLite's mutex and not Python's objects around it: closing while another thread
        # executes crashes the interpreter (3.11 to 3.13). Taking turns costs nothing, since the mutex makes them too.
        return 1


def _load_driver(name: str) -> Any:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the driver imports
        raise ImproperlyConfigured(
            f"OPTIONS driver: there is no module {name!r}; install it (pip install {name}) or leave the option out"
        ) from None
    driver = getattr(module, "dbapi2", module)  # both sqlite3 and pysqlite3 keep theirs there
    missing = [needed for needed in ("connect", "Connection", "Cursor", "Error") if not hasattr(driver, needed)]
    if missing:
        raise ImproperlyConfigured(
            f"OPTIONS driver: module {name!r} is no SQLite driver, it lacks {', '.join(missing)}; "
            "give sqlite3, pysqlite3 or another of their shape"
        )
    return driver


def _nothing() -> None:
    return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
