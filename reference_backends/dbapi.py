"""Any module of PEP 249 as a backend: by settings alone, or by a subclass of a few lines.

    {"ENGINE": "dbapi", "NAME": "app", "HOST": "db", "OPTIONS": {"module": "pg8000.dbapi", "paramstyle": "named"}}

    class DuckDBBackend(DBAPIBackend, module="duckdb", vendor="duckdb"):
        begin_statement = "BEGIN TRANSACTION"

What PEP 249 leaves open stays undeclared (savepoints, reset, cancel, the state of the transaction); a subclass
that knows its driver declares it. Source: PEP 249, with its optional extensions.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, Literal, NamedTuple, cast

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
    NotSupportedError,
    Options,
    SupportsAutocommit,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsPing,
    SupportsThreadSafety,
    SupportsTransactions,
)

__all__ = ["DBAPIBackend", "DBAPIOptions", "DBAPISettings", "OracleBackend", "convert"]

ParamStyle = Literal["qmark", "numeric", "named", "format", "pyformat"]


class DBAPIOptions(Options, frozen=True):
    """``connect`` goes to the module's ``connect()`` as it is; a secret in it is a ``pydantic.SecretStr``.

    ``paramstyle`` is the one that statements are written in; None: the module's own, unchanged.
    ``begin_statement`` for a driver that commits by itself until told otherwise.
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


SettingsT = TypeVar("SettingsT", bound=DBAPISettings, default=DBAPISettings)
ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)


class DBAPIBackend(
    SupportsPing[ConnT],
    SupportsTransactions[ConnT],
    SupportsAutocommit[ConnT],
    SupportsExpiringCredentials,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[SettingsT, dict[str, Any], ConnT, CursorT],
    Generic[SettingsT, ConnT, CursorT],
    vendor="dbapi",
):
    """A PEP 249 module. Its ``connection.autocommit``, where there is one, is used for autocommit and ``atomic()``."""

    module: ClassVar[str | None] = None
    begin_statement: ClassVar[str | None] = None
    probe: ClassVar[str] = "SELECT 1"
    arguments: ClassVar[Mapping[str, str]] = {
        "name": "database", "user": "user", "password": "password", "host": "host", "port": "port",
    }  # fmt: skip
    """What ``connect()`` calls each; PEP 249 recommends these."""

    def __init_subclass__(cls, *, module: str | None = None, vendor: str = "dbapi", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)
        if module is not None:
            cls.module = module

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        options = self.settings.options
        self._driver = _load_driver(options.module or self.module)
        self._begin = options.begin_statement or self.begin_statement
        self._probe = options.probe or self.probe
        style = options.paramstyle
        self._styles = (style, cast("ParamStyle", self._driver.paramstyle)) if style is not None else None

    @override
    def get_connection_params(self) -> dict[str, Any]:
        settings = self.settings
        params = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in settings.options.connect.items()
        }
        for field, name in self.arguments.items():
            value = settings.reveal_password() if field == "password" else getattr(settings, field)
            if value not in {"", None}:
                params[name] = value
        return params

    @override
    def get_new_connection(self, params: dict[str, Any], /) -> ConnT:
        return cast("ConnT", self._driver.connect(**params))

    @override
    def init_connection_state(self, connection: ConnT, /) -> None:
        """Nothing that PEP 249 has a word for."""

    @override
    def _cursor(self, connection: ConnT, /) -> CursorT:
        cursor = self.driver_cursor(connection)
        return cursor if self._styles is None else cast("CursorT", _ConvertingCursor(cursor, *self._styles))

    def driver_cursor(self, connection: ConnT, /) -> CursorT:
        """The driver's cursor; to be overridden where ``connection.cursor()`` is another session."""
        return cast("CursorT", cast("Any", connection).cursor())

    @override
    def ping(self, connection: ConnT, /) -> None:
        self.execute_statement(connection, self._probe)
        if not self.settings.autocommit:
            self.rollback(connection)  # the probe began a transaction

    @override
    def begin(self, connection: ConnT, /) -> None:
        if self._begin is not None:
            self.execute_statement(connection, self._begin)
        elif self.settings.autocommit:
            _switch(connection, False)  # PEP 249: the next statement begins one

    @override
    def commit(self, connection: ConnT, /) -> None:
        cast("Any", connection).commit()
        self._end(connection)

    @override
    def rollback(self, connection: ConnT, /) -> None:
        cast("Any", connection).rollback()
        self._end(connection)

    def _end(self, connection: ConnT) -> None:
        if self._begin is None and self.settings.autocommit:
            _switch(connection, True)

    @override
    def set_autocommit(self, connection: ConnT, autocommit: bool, /) -> None:
        if autocommit != self.settings.autocommit or (self._begin is not None and not autocommit):
            raise NotSupportedError("this backend stays in the AUTOCOMMIT of its settings: PEP 249 knows no switch")
        if self._begin is None and not _switch(connection, autocommit) and autocommit:
            raise ImproperlyConfigured(
                f"{self._driver.__name__} offers no connection.autocommit: give OPTIONS begin_statement if it commits "
                "by itself, else AUTOCOMMIT False"
            )

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return cast("ErrorClasses", self._driver)

    @property
    @override
    def threadsafety(self) -> int:
        return int(self._driver.threadsafety)

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


def _switch(connection: Any, autocommit: bool) -> bool:
    """Set the driver's autocommit, an attribute or a method; False where there is none."""
    present = getattr(connection, "autocommit", None)
    if callable(present):
        present(autocommit)
    elif present is not None:
        connection.autocommit = autocommit
    return present is not None


class _ConvertingCursor:
    """Around a driver's cursor: statements are written in one paramstyle and sent in another."""

    def __init__(self, cursor: Any, source: ParamStyle, target: ParamStyle) -> None:
        self.__dict__.update(_cursor=cursor, _source=source, _target=target)

    def execute(self, operation: str, params: Any = None) -> Any:
        if params is None:
            return self._cursor.execute(operation)
        return self._cursor.execute(*convert(operation, params, self._source, self._target))

    def executemany(self, operation: str, params: Iterable[Any]) -> Any:
        converted = [convert(operation, each, self._source, self._target) for each in params]
        if converted:
            self._cursor.executemany(converted[0][0], [each for _, each in converted])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)


class _Parsed(NamedTuple):
    texts: tuple[str, ...]  # one more than there are keys
    keys: tuple[int | str, ...]


_QUOTED = r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | ::"""
_PLACEHOLDERS = {
    "qmark": r"(?P<key>\?)",
    "numeric": r":(?P<key>\d+)",
    "named": r":(?P<key>[A-Za-z_]\w*)",
    "format": r"%% | %(?P<key>s)",
    "pyformat": r"%% | %\((?P<key>\w+)\)s",
}


@lru_cache(maxsize=512)
def _parse(statement: str, style: ParamStyle) -> _Parsed:
    percent = style in {"format", "pyformat"}
    pattern = f"{_PLACEHOLDERS[style]} | {_QUOTED}"
    texts, keys, end = [""], list[int | str](), 0
    for match in re.finditer(pattern, statement, re.DOTALL | re.VERBOSE):
        key = match["key"]
        if key is None:
            continue
        texts[-1] += statement[end : match.start()]
        texts.append("")
        keys.append(key if style in {"named", "pyformat"} else int(key) - 1 if style == "numeric" else len(keys))
        end = match.end()
    texts[-1] += statement[end:]
    return _Parsed(tuple(text.replace("%%", "%") if percent else text for text in texts), tuple(keys))


def convert(statement: str, params: Any, source: ParamStyle, target: ParamStyle) -> tuple[str, Any]:
    """*statement* and *params*, written in *source*, as a driver of *target* takes them.

    What stands in quotes or comments is no placeholder; ``::`` is a cast. In ``format`` and ``pyformat`` a percent
    sign is written twice, everywhere.
    """
    texts, keys = _parse(statement, source)
    doubled = target in {"format", "pyformat"}
    parts = [text.replace("%", "%%") if doubled else text for text in texts]
    names = [key if isinstance(key, str) else f"p{key + 1}" for key in keys]
    marks = {
        "qmark": ["?"] * len(keys),
        "format": ["%s"] * len(keys),
        "numeric": [f":{number}" for number in range(1, len(keys) + 1)],
        "named": [f":{name}" for name in names],
        "pyformat": [f"%({name})s" for name in names],
    }[target]
    text = parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:], strict=True))
    values = [cast("Mapping[Any, Any] | Sequence[Any]", params)[cast("Any", key)] for key in keys]
    if target in {"named", "pyformat"}:
        return text, dict(zip(names, values, strict=True))
    return text, values
