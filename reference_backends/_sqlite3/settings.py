"""What SQLite's settings are, and what they become: connect arguments."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self, TypedDict
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from typing_extensions import override

from backend_sdk import ConnectionSettings, FrozenDict, Options


class SQLiteFunction(NamedTuple):
    """An SQL function. *function* must not refer to a wrapper or connection: the driver would keep it for ever."""

    name: str
    arguments: int
    function: Callable[..., Any]
    deterministic: bool = False


class SQLiteOptions(Options, frozen=True):
    """``timeout`` in seconds; pragmas that are None are left as they are. ``pragmas`` takes any others."""

    driver: str = Field(default="sqlite3", pattern=r"^\w+(\.\w+)*$")
    timeout: float = Field(default=5.0, ge=0, le=2_147_483)  # SQLite counts milliseconds in a C int
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

    @field_validator("check_same_thread")
    @classmethod
    def _ownership_is_ours(cls, value: bool | None) -> bool | None:
        if value is not None:
            warnings.warn(
                "OPTIONS check_same_thread has no effect: the driver's check is always off, since the wrapper checks "
                "its owner itself; share on purpose with `with wrapper.shared():`",
                UserWarning,
                stacklevel=2,
            )
        return value


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
        if self.password != SecretStr(""):
            raise ValueError("PASSWORD means nothing to SQLite; leave it out")
        if self.options.memory_name and self.name != ":memory:":
            raise ValueError("OPTIONS memory_name goes with NAME ':memory:'")
        return self

    @property
    @override
    def is_private(self) -> bool:
        return in_memory(self.name) and self.options.memory_name is None and "cache=shared" not in self.name


class SQLiteParams(TypedDict):
    """``sqlite3.connect``'s keyword arguments."""

    database: str
    timeout: float
    detect_types: int
    isolation_level: None
    check_same_thread: bool
    cached_statements: int
    uri: bool


def connection_params(settings: SQLiteSettings) -> SQLiteParams:
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
        name = f"file:/{options.memory_name}?vfs=memdb"
    elif options.read_only and not name.startswith("file:") and not in_memory(name):
        name = ("file://" if name.startswith("/") else "file:") + quote(os.fsencode(name))
    if options.read_only and name.startswith("file:") and not in_memory(name):
        path, _, _ignored = name.partition("#")
        name = path + ("&" if "?" in path else "?") + "mode=ro"
    return name, name.startswith("file:")


def in_memory(name: str) -> bool:
    return (
        name == ":memory:" or name.startswith("file::memory:") or (name.startswith("file:") and "mode=memory" in name)
    )
