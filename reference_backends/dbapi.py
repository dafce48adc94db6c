"""Any module of PEP 249 as a backend: by settings alone, or by a subclass of a few lines.

    {"ENGINE": "dbapi", "NAME": "app", "HOST": "db", "OPTIONS": {"module": "pg8000.dbapi", "paramstyle": "named"}}

    class DuckDBBackend(DBAPIBackend, module="duckdb", vendor="duckdb"):
        begin_statement = "BEGIN TRANSACTION"

The connection is a `DBAPIConnection`: the driver's own is its ``driver``, and what it does not define itself is the
driver's. Transactions and autocommit work with every module, by the means that the module has: the driver's
``autocommit``, attribute or method; else ``begin_statement``, which is needed where a module commits by itself and has
no switch; else the implicit transactions of PEP 249, each statement outside of a block being committed after it.
End a transaction by the wrapper, not in words: nobody sees that.

Without a line of code: ``python -m conformance dbapi:sqlite3 --profile sdk -o check_same_thread=false``.

What PEP 249 leaves open stays undeclared (savepoints, reset, cancel, the state of the transaction); a subclass
that knows its driver declares it. Where the database takes only a rollback after an error and the driver's ``commit()``
then says nothing (psycopg, DuckDB), the subclass has to declare `SupportsTransactionStatus`, or work is lost silently;
the kit's TX-011 finds it. Where the driver raises one class for all errors (pg8000), ``sqlstate`` sorts them.
Source: PEP 249, with its optional extensions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, cast

from pydantic import SecretStr
from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    CredentialSource,
    DBAPICursor,
    ErrorClasses,
    FrozenDict,
    ImproperlyConfigured,
    Options,
    SupportsAutocommit,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsPing,
    SupportsThreadSafety,
    SupportsTransactions,
)

from ._dbapi.connections import DBAPIConnection
from ._dbapi.paramstyle import ConvertingCursor, ParamStyle, convert
from ._dbapi.sqlstates import SortingCursor, sorting

__all__ = ["DBAPIBackend", "DBAPIConnection", "DBAPIOptions", "DBAPISettings", "OracleBackend", "convert"]

_FIELDS = ("name", "user", "password", "host", "port", "time_zone")


class DBAPIOptions(Options, frozen=True):
    """``connect`` goes to the module's ``connect()`` as it is; a secret in it is a ``pydantic.SecretStr``.

    ``paramstyle`` is the one that statements are written in; None: the module's own, unchanged.
    ``begin_statement`` for a driver that commits by itself until told otherwise, as in "BEGIN"; None: the class's.
    ``probe`` is the statement that a ping sends; None: the class's.
    """

    module: str | None = None
    connect: Mapping[str, Any] = FrozenDict()
    paramstyle: ParamStyle | None = None
    begin_statement: str | None = None
    probe: str | None = None


class DBAPISettings(ConnectionSettings, frozen=True):
    """NAME, USER, PASSWORD, HOST and PORT go to ``connect()`` under the names that the backend class gives them."""

    engine: str = "dbapi"
    options: DBAPIOptions = DBAPIOptions()

    @property
    @override
    def is_private(self) -> bool:
        """``:memory:`` is a database of the connection's own to every module that knows the name (sqlite3, duckdb)."""
        return self.name == ":memory:"


SettingsT = TypeVar("SettingsT", bound=DBAPISettings, default=DBAPISettings)
ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)


class DBAPIBackend(
    SupportsPing[DBAPIConnection[ConnT]],
    SupportsTransactions[DBAPIConnection[ConnT]],
    SupportsAutocommit[DBAPIConnection[ConnT]],
    SupportsExpiringCredentials,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[SettingsT, dict[str, Any], DBAPIConnection[ConnT], CursorT],
    Generic[SettingsT, ConnT, CursorT],
    vendor="dbapi",
):
    """A PEP 249 module; its type arguments are the settings and the driver's own connection and cursor."""

    module: ClassVar[str | None] = None
    begin_statement: ClassVar[str | None] = None
    probe: ClassVar[str] = "SELECT 1"
    arguments: ClassVar[Mapping[str, str]] = {
        "name": "database", "user": "user", "password": "password", "host": "host", "port": "port",
    }  # fmt: skip
    """What ``connect()`` calls each; PEP 249 recommends these. A setting without a name is refused."""
    obeyed: ClassVar[frozenset[str]] = frozenset()
    """Settings that a subclass obeys by other means, as ``time_zone`` in `init_connection_state`."""

    def __init_subclass__(cls, *, module: str | None = None, vendor: str = "dbapi", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)
        if module is not None:
            cls.module = module

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        self._refuse_what_is_not_used()
        options = self.settings.options
        self._driver = _load_driver(options.module or self.module)
        self._begin = options.begin_statement or self.begin_statement
        self._probe = options.probe or self.probe
        style = options.paramstyle
        self._styles = (style, cast("ParamStyle", self._driver.paramstyle)) if style is not None else None
        self._sorts = type(self).sqlstate is not DBAPIBackend.sqlstate

    def _refuse_what_is_not_used(self) -> None:
        for field in _FIELDS:
            if self._given(field) and field not in self.arguments and field not in self.obeyed:
                raise ImproperlyConfigured(
                    f"{field.upper()} changes nothing for {type(self).__qualname__}: leave it out, or put what the "
                    "driver's connect() takes into OPTIONS connect (a subclass that obeys it says so in `arguments` "
                    "or `obeyed`)"
                )

    def _given(self, field: str) -> bool:
        value = getattr(self.settings, field)
        return (value.get_secret_value() if isinstance(value, SecretStr) else value) not in {"", None}

    @override
    def get_connection_params(self) -> dict[str, Any]:
        settings = self.settings
        params = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in settings.options.connect.items()
        }
        for field, name in self.arguments.items():
            if self._given(field):
                params[name] = settings.reveal_password() if field == "password" else getattr(settings, field)
        return params

    @override
    def get_new_connection(self, params: dict[str, Any], /) -> DBAPIConnection[ConnT]:
        try:
            opened = self._sorted(self._driver.connect, **params)
        except TypeError as error:  # not PEP 249's to say: an argument that the driver does not know
            raise ImproperlyConfigured(
                f"{self._driver.__name__}.connect() does not take {', '.join(sorted(params))} as given: {error}. A "
                "setting goes there under its name in the class's `arguments`, anything else by OPTIONS connect"
            ) from error
        return DBAPIConnection(opened, self._begin)

    @override
    def init_connection_state(self, connection: DBAPIConnection[ConnT], /) -> None:
        """Nothing that PEP 249 has a word for."""

    @override
    def _cursor(self, connection: DBAPIConnection[ConnT], /) -> CursorT:
        cursor: Any = self.driver_cursor(connection.driver)
        if self._sorts:
            cursor = SortingCursor(cursor, self._driver, self.sqlstate)
        cursor = connection.around(cursor)
        return cast("CursorT", cursor if self._styles is None else ConvertingCursor(cursor, *self._styles))

    def driver_cursor(self, connection: ConnT, /) -> CursorT:
        """The driver's cursor; to be overridden where ``connection.cursor()`` is another session."""
        return cast("CursorT", cast("Any", connection).cursor())

    def sqlstate(self, error: BaseException, /) -> str | None:
        """The SQLSTATE in the driver's *error*.

        To be overridden where the driver does not sort its errors into PEP 249's classes; they are sorted by it then.
        """
        return None

    def _sorted(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self._sorts:
            return sorting(self._driver, self.sqlstate, call, *args, **options)
        return call(*args, **options)

    @override
    def ping(self, connection: DBAPIConnection[ConnT], /) -> None:
        """Without autocommit it may begin a transaction, as any statement does; ending it could end the user's."""
        self.execute_statement(connection, self._probe)

    @override
    def begin(self, connection: DBAPIConnection[ConnT], /) -> None:
        connection.begin()
        if self._begin is not None:
            try:
                self.execute_statement(connection, self._begin)
            except BaseException:
                connection.begun = False
                raise

    @override
    def commit(self, connection: DBAPIConnection[ConnT], /) -> None:
        self._sorted(connection.commit)

    @override
    def rollback(self, connection: DBAPIConnection[ConnT], /) -> None:
        self._sorted(connection.rollback)

    @override
    def set_autocommit(self, connection: DBAPIConnection[ConnT], autocommit: bool, /) -> None:
        """Source: PEP 249, connection.autocommit, of which "False" says that the driver begins by itself."""
        if self._begin is not None and getattr(connection.driver, "autocommit", None) is False:
            raise ImproperlyConfigured(
                f"begin_statement is for a driver that commits by itself, and {self._driver.__name__} begins by "
                "itself: leave begin_statement out, so that its autocommit is switched"
            )
        self._sorted(connection.set_autocommit, autocommit)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return cast("ErrorClasses", self._driver)

    @property
    @override
    def threadsafety(self) -> int:
        """At most 1: what `DBAPIConnection` remembers of a transaction is not for two threads at once."""
        return min(1, int(self._driver.threadsafety))

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        expires = isinstance(self.settings.password, CredentialSource)
        return frozenset({self.arguments["password"]}) if expires else frozenset()


class OracleBackend(DBAPIBackend, module="oracledb", vendor="oracle"):
    """Oracle by oracledb's thin mode; NAME is the service. UNTESTED against a server: none can be installed here."""

    probe = "SELECT 1 FROM DUAL"
    arguments: ClassVar[Mapping[str, str]] = {**DBAPIBackend.arguments, "name": "service_name"}


def _load_driver(name: str | None) -> Any:
    if name is None:
        raise ImproperlyConfigured("OPTIONS module is missing: name a module of PEP 249, as in 'pg8000.dbapi'")
    try:
        driver = importlib.import_module(name)
    except ModuleNotFoundError:
        raise ImproperlyConfigured(f"there is no module {name!r}: pip install {name.partition('.')[0]}") from None
    missing = [part for part in ("connect", "paramstyle", "threadsafety", "Error") if not hasattr(driver, part)]
    if missing:
        raise ImproperlyConfigured(f"module {name!r} is none of PEP 249: it lacks {', '.join(missing)}")
    return driver
