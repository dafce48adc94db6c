"""What PostgreSQL's settings are, and what they become: connect arguments, and statements for the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypedDict, cast

from psycopg import sql
from pydantic import Field, SecretStr, field_validator, model_validator

from backend_sdk import ConnectionSettings, FrozenDict, Options

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

# Options that PgBouncer's transaction mode cannot keep: the server session changes hands after each transaction.
_SESSION_OPTIONS = ("role", "search_path", "isolation_level", "read_only", "session_settings", *_TIMEOUTS)
SHARED_SESSION = (
    'pooler="transaction" hands the server session to another client after each transaction, who would see this or '
    "lose it"
)

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
                    f"prepare_threshold is refused: {SHARED_SESSION}, so prepared statements get lost; leave it out"
                )
            for name in _SESSION_OPTIONS:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"{name} is refused: {SHARED_SESSION}; give what can be set with each transaction as "
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
                f'TIME_ZONE is refused: {SHARED_SESSION}; give OPTIONS transaction_settings={{"TimeZone": ...}}'
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


def connection_params(settings: PostgreSQLSettings) -> PostgreSQLParams:
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


def session_settings(settings: PostgreSQLSettings) -> dict[str, SettingValue]:
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


def set_config(settings: Mapping[str, SettingValue], *, local: bool) -> str:
    """A select list that sets them all. Unlike SET it takes any value as text, a search path as well as a role."""
    return ", ".join(
        f"pg_catalog.set_config({_literal(name)}, {_literal(value)}, {str(local).lower()})"
        for name, value in settings.items()
    )


def local_settings(options: PostgreSQLOptions) -> list[str]:
    """Statements for the start of each transaction. The isolation level is taken only before the first query."""
    of_transaction = {
        name: value for name, value in options.transaction_settings.items() if name.startswith("transaction_")
    }
    others = {name: value for name, value in options.transaction_settings.items() if name not in of_transaction}
    statements = [f'SET LOCAL "{name}" = {_literal(value)}' for name, value in of_transaction.items()]
    if others:
        statements.append(f"SELECT {set_config(others, local=True)}")
    return statements


def _literal(value: SettingValue) -> str:
    text = ("off", "on")[value] if isinstance(value, bool) else str(value)
    return sql.Literal(text).as_string(None)
