"""What MySQL's settings are, and what they become: connect arguments, and statements for the session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, TypedDict, cast

from pydantic import Field, SecretStr, field_validator, model_validator

from backend_sdk import ConnectionSettings, FrozenDict, Options

SettingValue = bool | int | float | str


class MySQLOptions(Options, frozen=True):
    """PyMySQL's names where there is one; times are seconds. None leaves to the server what it does.

    ``session_variables`` takes any other variable; ``init_command`` is run last, at the start and after each reset.
    """

    charset: str = "utf8mb4"
    collation: str | None = None
    connect_timeout: float = Field(default=10, gt=0)
    read_timeout: float | None = Field(default=None, gt=0)
    write_timeout: float | None = Field(default=None, gt=0)
    unix_socket: str | None = None
    bind_address: str | None = None
    program_name: str | None = None
    local_infile: bool = False
    max_allowed_packet: int | None = Field(default=None, ge=1024)
    ssl_disabled: bool | None = None
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    ssl_key_password: SecretStr | None = None
    ssl_verify_cert: bool | None = None
    ssl_verify_identity: bool | None = None

    sql_mode: str | None = None
    isolation_level: Literal["read uncommitted", "read committed", "repeatable read", "serializable"] | None = None
    read_only: bool = False
    lock_wait_timeout: int | None = Field(default=None, ge=0)
    session_variables: Mapping[str, SettingValue] = FrozenDict()
    init_command: str | None = None

    @field_validator("isolation_level", mode="before")
    @classmethod
    def _level_from_text(cls, value: object) -> object:
        return value.lower().replace("_", " ").replace("-", " ") if isinstance(value, str) else value

    @field_validator("charset", "collation")
    @classmethod
    def _plain_word(cls, value: str | None) -> str | None:
        if value is not None and not value.isidentifier():
            raise ValueError("not the name of a character set or collation")
        return value

    @field_validator("session_variables")
    @classmethod
    def _plain_names(cls, value: Mapping[str, SettingValue]) -> Mapping[str, SettingValue]:
        for name in value:
            if not re.fullmatch(r"[\w.]+", name):
                raise ValueError(f"{name!r} is not the name of a variable")
        return value


class MySQLSettings(ConnectionSettings, frozen=True):
    """HOST is a name, an address, or the path of a socket. NAME may be empty: no default database then."""

    engine: str = "mysql"
    options: MySQLOptions = MySQLOptions()

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        if "," in self.host or isinstance(self.port, tuple):
            raise ValueError("HOST names several servers; PyMySQL takes one")
        if self.host.startswith("/") and self.options.unix_socket:
            raise ValueError("HOST and OPTIONS unix_socket both name a socket; keep one")
        return self


class MySQLParams(TypedDict, total=False):
    """``pymysql.connect``'s keyword arguments."""

    host: str
    port: int
    user: str
    password: str
    database: str
    autocommit: None
    charset: str
    collation: str
    connect_timeout: float
    read_timeout: float
    write_timeout: float
    unix_socket: str
    bind_address: str
    program_name: str
    local_infile: bool
    max_allowed_packet: int
    ssl_disabled: bool
    ssl_ca: str
    ssl_cert: str
    ssl_key: str
    ssl_key_password: str
    ssl_verify_cert: bool
    ssl_verify_identity: bool


_DRIVER_OPTIONS = MySQLParams.__optional_keys__ & set(MySQLOptions.model_fields)


def connection_params(settings: MySQLSettings) -> MySQLParams:
    """All but the password, which may expire."""
    options = settings.options
    given: dict[str, Any] = {name: getattr(options, name) for name in _DRIVER_OPTIONS}
    if options.ssl_key_password is not None:
        given["ssl_key_password"] = options.ssl_key_password.get_secret_value()
    given |= {"user": settings.user or None, "database": settings.name or None, "port": settings.port}
    given["unix_socket" if settings.host.startswith("/") else "host"] = settings.host or None
    params = {name: value for name, value in given.items() if value is not None}
    return cast("MySQLParams", {**params, "autocommit": None})  # as the server has it, until set_autocommit


def session_statements(settings: MySQLSettings) -> tuple[str, ...]:
    options = settings.options
    variables: dict[str, SettingValue | None] = {
        "time_zone": settings.time_zone, "sql_mode": options.sql_mode,
        "innodb_lock_wait_timeout": options.lock_wait_timeout, **options.session_variables,
    }  # fmt: skip
    assignments = [f"SESSION {name} = {_literal(value)}" for name, value in variables.items() if value is not None]
    statements = [f"SET {', '.join(assignments)}"] if assignments else []
    if options.isolation_level:
        statements.append(f"SET SESSION TRANSACTION ISOLATION LEVEL {options.isolation_level.upper()}")
    if options.read_only:
        statements.append("SET SESSION TRANSACTION READ ONLY")
    if options.init_command:
        statements.append(options.init_command)
    return tuple(statements)


def _literal(value: SettingValue) -> str:
    if isinstance(value, str):
        quoted = value.replace("'", "''").replace("\\", "\\\\")
        return f"'{quoted}'"
    return str(int(value)) if isinstance(value, bool) else str(value)
