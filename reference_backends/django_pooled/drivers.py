"""How a driver's connection is looked after between two leases: reset, local verdict, ping, rollback.

It is the driver that counts, not the engine: PostGIS and whatever else speaks through psycopg is reset as PostgreSQL
is. For the drivers that the SDK's backends use, those backends do it.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from typing_extensions import override

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    Error,
    SupportsIsBroken,
    SupportsPing,
    SupportsReset,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
    load_backend_class,
    normalize,
    settings_class_of,
)

__all__ = ["Care", "care_for", "driver_of"]

Care = BaseBackend[Any, Any, Any, Any]
Params = Mapping[str, Any]


class AnyDriver(
    SupportsTransactionStatus[Any],
    SupportsTransactions[Any],
    BaseBackend[ConnectionSettings, None, Any, Any],
    vendor="django",
):
    """PEP 249 and nothing else. It opens nothing: Django's engine does."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(vendor="django", **options)

    def __init__(self) -> None:
        super().__init__(ConnectionSettings())

    @override
    def transaction_status(self, connection: Any, /) -> TransactionStatus:
        """One may be open: the driver does not tell."""
        return TransactionStatus.IN_TRANSACTION

    @override
    def rollback(self, connection: Any, /) -> None:
        connection.rollback()

    @override
    def set_autocommit(self, connection: Any, autocommit: bool, /) -> None:
        """Django's wrapper does, at each connect."""

    @override
    def init_connection_state(self, connection: Any, /) -> None:
        """As above."""

    @override
    def begin(self, connection: Any, /) -> NoReturn:
        raise NotImplementedError

    @override
    def commit(self, connection: Any, /) -> NoReturn:
        raise NotImplementedError

    @override
    def get_connection_params(self) -> None:
        raise NotImplementedError

    @override
    def get_new_connection(self, params: None, /) -> NoReturn:
        raise NotImplementedError

    @override
    def _cursor(self, connection: Any, /) -> NoReturn:
        raise NotImplementedError


class ByFunction(SupportsReset[Any], AnyDriver):
    """Resets with a function of the project's own."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        super().__init__()
        self._function = function

    @override
    def _same_inside(self, other: object) -> bool:
        return isinstance(other, ByFunction) and other._function is self._function

    @override
    def reset(self, connection: Any, /) -> None:
        connection.rollback()
        self._function(connection)


class MySQLClient(SupportsReset[Any], SupportsIsBroken[Any], SupportsPing[Any], AnyDriver):
    """mysqlclient. It offers no COM_RESET_CONNECTION, so the session logs in anew, which the server resets fully at."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        named = {"user": ("user",), "password": ("password", "passwd"), "database": ("database", "db")}
        self._login = {key: _first(params, names) for key, names in named.items()}
        self._charset = (params.get("charset"), params.get("collation", ""))
        mode = params.get("sql_mode")
        self._replay = [f"SET SESSION sql_mode='{mode}'" if mode else "", params.get("init_command") or ""]

    @override
    def _same_inside(self, other: object) -> bool:
        return isinstance(other, MySQLClient) and vars(other) == vars(self)

    @override
    def reset(self, connection: Any, /) -> None:
        login = self._login
        connection.change_user(login["user"], login["password"], login["database"])
        if self._charset[0]:
            connection.set_character_set(*self._charset)
        for statement in filter(None, self._replay):
            connection.query(statement)

    @override
    def is_broken(self, connection: Any, /) -> bool:
        if not connection.open:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))  # nobody asked: the server's goodbye, or the end

    @override
    def ping(self, connection: Any, /) -> None:
        connection.ping()


def driver_of(wrapper_class: Any) -> str:
    """The name of the driver's package; PyMySQL's where it stands in for mysqlclient."""
    name = getattr(getattr(wrapper_class, "Database", None), "__name__", "unknown")
    return str(name).partition(".")[0]


def care_for(wrapper_class: Any, own: Mapping[str, Any], params: Any, reset_with: Any, *, full: bool) -> Care:
    """What looks after the connections that *params* open. *full*: it has to be able to reset them.

    Raises Django's `ImproperlyConfigured`, with the way out.
    """
    driver = driver_of(wrapper_class)
    if not isinstance(params, Mapping):
        raise ImproperlyConfigured(
            f"{own['ENGINE']} has a {type(params).__name__} for connection parameters, which tells no two pools apart; "
            "a pool needs them by name"
        )
    try:
        if reset_with is not None:
            return _named(reset_with, own)
        if driver == "MySQLdb":
            return MySQLClient(params)
        if driver in _KNOWN:
            engine, translated = _KNOWN[driver]
            return _made(load_backend_class(engine), engine, translated(params))
    except Error as error:
        raise ImproperlyConfigured(f"no pool over driver {driver!r}: {error}") from error
    if full:
        raise ImproperlyConfigured(
            f"{own['ENGINE']} uses the driver {driver!r}, whose sessions the pool does not know how to reset; give "
            "OPTIONS RESET_WITH a backend of the SDK or a function that does, or leave it to the application with "
            'POOL {"reset": "trusted"}'
        )
    return AnyDriver()


def _named(reset_with: Any, own: Mapping[str, Any]) -> Care:
    found = reset_with
    if isinstance(reset_with, str):
        try:
            found = import_string(reset_with)
        except ImportError:
            found = load_backend_class(reset_with)
    if not isinstance(found, type):
        if not callable(found):
            raise ImproperlyConfigured(f"OPTIONS RESET_WITH is {reset_with!r}; name a backend or a function")
        return ByFunction(found)
    identity = {key: own.get(key) or "" for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return _made(found, str(reset_with), identity)


def _made(cls: Any, engine: str, mapping: Mapping[str, Any]) -> Care:
    settings = settings_class_of(cls).from_mapping({**mapping, "ENGINE": engine}, alias=f"{engine}, for resetting")
    care = normalize(cls(settings))
    if SupportsReset not in care.abilities:
        raise ImproperlyConfigured(f"{cls.__qualname__} does not declare SupportsReset, so it resets no session")
    return care


def _first(params: Params, names: tuple[str, ...]) -> str:
    return next((params[name] for name in names if params.get(name)), "")


def _given(params: Params, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: params[name] for name in names if params.get(name) is not None}


def _sqlite(params: Params) -> dict[str, Any]:
    # Django sets this pragma at each open; a reset would leave SQLite's own default.
    options = {"pragmas": {"legacy_alter_table": 0}, **_given(params, ("timeout",))}
    return {"NAME": params["database"], "OPTIONS": options}


def _pysqlite3(params: Params) -> dict[str, Any]:
    """Put in the place of sqlite3, which in many a Python loads no extension: Django's SpatiaLite needs one."""
    made = _sqlite(params)
    return {**made, "OPTIONS": {**made["OPTIONS"], "driver": "pysqlite3"}}


def _psycopg(params: Params) -> dict[str, Any]:
    return {"NAME": params.get("dbname") or ""}


def _pymysql(params: Params) -> dict[str, Any]:
    options = _given(params, ("charset", "collation", "sql_mode", "init_command"))
    return {"NAME": _first(params, ("database", "db")), "OPTIONS": options}


_KNOWN: dict[str, tuple[str, Callable[[Params], dict[str, Any]]]] = {
    "sqlite3": ("sqlite3", _sqlite),
    "pysqlite3": ("sqlite3", _pysqlite3),
    "psycopg": ("postgresql", _psycopg),
    "pymysql": ("mysql", _pymysql),
}
