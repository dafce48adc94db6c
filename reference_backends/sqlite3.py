"""SQLite, by the standard library's driver or any module of its shape (``pysqlite3``).

The driver stays in its own autocommit (``isolation_level=None``) and transactions are begun in words, so they
begin when they say, on every Python alike; 3.12's ``autocommit`` attribute is left at its default. Source:
the sqlite3 module's documentation, "Transaction control"; SQLite's "PRAGMA statements" and "URI filenames".
"""

from __future__ import annotations

import importlib
import sqlite3
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import new_class
from typing import Any, Literal, NamedTuple, Self, TypedDict, cast
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator
from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    ConnectionSettings,
    ErrorClasses,
    FrozenDict,
    ImproperlyConfigured,
    Options,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsCancel,
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

__all__ = ["SQLiteBackend", "SQLiteCursor", "SQLiteFunction", "SQLiteOptions", "SQLiteParams", "SQLiteSettings"]

# What a user's session may have switched, with SQLite's own defaults, for `SQLiteBackend.reset`.
_SESSION_PRAGMAS = (
    "query_only=0", "recursive_triggers=0", "case_sensitive_like=0", "ignore_check_constraints=0",
    "reverse_unordered_selects=0", "read_uncommitted=0", "writable_schema=0", "temp_store=0",
)  # fmt: skip


class SQLiteFunction(NamedTuple):
    """An SQL function. *function* must not refer to a wrapper or connection: the driver would keep it for ever."""

    name: str
    arguments: int
    function: Callable[..., Any]
    deterministic: bool = False


class SQLiteOptions(Options, frozen=True):
    """``timeout`` in seconds; pragmas that are None are left as they are. ``pragmas`` takes any others."""

    driver: str = "sqlite3"
    timeout: float = Field(default=5.0, ge=0)
    cached_statements: int = Field(default=128, ge=0)
    detect_types: int = 0
    transaction_mode: Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"] = "DEFERRED"
    read_only: bool = False
    memory_name: str | None = Field(default=None, pattern=r"^\w+$")
    foreign_keys: bool | None = True
    journal_mode: Literal["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF"] | None = None
    synchronous: Literal["OFF", "NORMAL", "FULL", "EXTRA"] | None = None
    pragmas: Mapping[str, str | int] = FrozenDict()
    functions: tuple[SQLiteFunction, ...] = ()
    collations: Mapping[str, Callable[[str, str], int]] = FrozenDict()
    row_factory: Callable[[Any, Any], object] | None = None
    check_same_thread: bool | None = None

    @field_validator("transaction_mode", "journal_mode", "synchronous", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("pragmas")
    @classmethod
    def _plain_pragmas(cls, value: Mapping[str, str | int]) -> Mapping[str, str | int]:
        for name, setting in value.items():
            if not name.isidentifier() or not str(setting).lstrip("-").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is not a plain pragma; name and value are words or numbers")
        return value

    @model_validator(mode="after")
    def _ownership_is_ours(self) -> Self:
        if self.check_same_thread is not None:
            warnings.warn(
                "OPTIONS check_same_thread has no effect: the driver's check is always off, since the wrapper checks "
                "its owner itself; share on purpose with `with wrapper.shared():`",
                UserWarning,
                stacklevel=2,
            )
        return self


class SQLiteSettings(ConnectionSettings, frozen=True):
    """NAME is a path, ``:memory:`` or a ``file:`` URI. ``memory_name`` shares one by name."""

    engine: str = "sqlite3"
    options: SQLiteOptions = SQLiteOptions()

    @model_validator(mode="after")
    def _only_what_sqlite_has(self) -> Self:
        if not self.name:
            raise ValueError("NAME is missing: give a path, or ':memory:' (as a URL: sqlite:///relative.db)")
        for name in ("user", "host", "port", "time_zone"):
            if getattr(self, name):
                raise ValueError(
                    f"{name.upper()} means nothing to SQLite; leave it out (as a URL: sqlite:///relative.db)"
                )
        if self.reveal_password():
            raise ValueError("PASSWORD means nothing to SQLite; leave it out")
        if self.options.memory_name and self.name != ":memory:":
            raise ValueError("OPTIONS memory_name goes with NAME ':memory:'")
        return self

    @property
    @override
    def is_private(self) -> bool:
        return self.name == ":memory:" and self.options.memory_name is None


class SQLiteParams(TypedDict):
    """``sqlite3.connect``'s keyword arguments."""

    database: str
    timeout: float
    detect_types: int
    isolation_level: None
    check_same_thread: bool
    cached_statements: int
    uri: bool


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
    """SQLite. Subclass it to add what a connection needs for life (`configure_connection`) or at its start."""

    test_support = "conformance.supports.sqlite:SQLiteSupport"

    def __init_subclass__(cls, *, vendor: str = "sqlite", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        options = self.settings.options
        self._driver = _load_driver(options.driver)
        self._cursor_class = _cursor_class(self._driver)
        self._params = _connection_params(self.settings)
        self._pragmas = tuple(f"PRAGMA {pragma}" for pragma in _pragmas(options))
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
        for name, arguments, function, deterministic in options.functions:
            connection.create_function(name, arguments, function, deterministic=deterministic)
        for name, collation in options.collations.items():
            connection.create_collation(name, collation)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        for pragma in self._pragmas:
            connection.execute(pragma).close()

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> SQLiteCursor:
        cursor = self._cursor_class(connection)  # faster than connection.cursor(factory), which honours row_factory
        factory = connection.row_factory
        if factory is not None:
            cursor.row_factory = factory
        return cursor

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
        connection.rollback()
        connection.set_authorizer(None)
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 0)
        connection.row_factory = self.settings.options.row_factory
        connection.text_factory = str
        for _, name, _file in connection.execute("PRAGMA database_list").fetchall():
            if name not in {"main", "temp"}:
                connection.execute(f"DETACH {_quoted(name)}")
        query = "SELECT type, name FROM sqlite_temp_master WHERE name NOT LIKE 'sqlite_%' AND type IN ('table', 'view')"
        for kind, name in connection.execute(query).fetchall():
            connection.execute(f"DROP {kind} temp.{_quoted(name)}")
        for pragma in _SESSION_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()
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
        connection.execute(f"PRAGMA query_only={int(read_only)}").close()

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
        return cast("int", self._driver.threadsafety)


def _load_driver(name: str) -> Any:
    try:
        module = importlib.import_module(name)
    except ImportError:
        raise ImproperlyConfigured(
            f"OPTIONS driver: there is no module {name!r}; install it (pip install {name}) or leave the option out"
        ) from None
    return getattr(module, "dbapi2", module)  # both sqlite3 and pysqlite3 keep theirs there


def _connection_params(settings: SQLiteSettings) -> SQLiteParams:
    options = settings.options
    database, uri = _database(settings)
    return {
        "database": database,
        "timeout": options.timeout,
        "detect_types": options.detect_types,
        "isolation_level": None,
        "check_same_thread": False,
        "cached_statements": options.cached_statements,
        "uri": uri,
    }


def _database(settings: SQLiteSettings) -> tuple[str, bool]:
    """What to open, and whether it is a URI."""
    name, options = settings.name, settings.options
    if options.memory_name is not None:
        # The memdb VFS locks as a file does and waits for the timeout; a shared cache would fail at once.
        return f"file:/{options.memory_name}?vfs=memdb", True
    if name.startswith("file:"):
        mode = ("&" if "?" in name else "?") + "mode=ro" if options.read_only else ""
        return name + mode, True
    if options.read_only and name != ":memory:":
        return f"file:{quote(name)}?mode=ro", True
    return name, False


def _pragmas(options: SQLiteOptions) -> list[str]:
    named = {
        "foreign_keys": options.foreign_keys,
        "journal_mode": options.journal_mode,
        "synchronous": options.synchronous,
    }
    settings = {name: value for name, value in named.items() if value is not None} | dict(options.pragmas)
    if options.read_only:
        settings["query_only"] = True
    return [f"{name}={int(value) if isinstance(value, bool) else value}" for name, value in settings.items()]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
