"""What an author subclasses, and the normalized view of any backend that the rest of the SDK works on."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    Protocol,
    TypeVar,
    cast,
    final,
    get_args,
    get_origin,
    overload,
)

from typing_extensions import override

from .cursor import execute_unchecked
from .errors import DriverErrors, ImproperlyConfigured, NotSupportedError, driver_errors, errors_of_driver
from .protocols import (
    ABILITIES,
    Backend,
    DBAPICursor,
    SupportsDriverErrors,
    SupportsSavepoints,
    TransactionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import ErrorClasses
    from .settings import ConnectionSettings

__all__ = ["BaseBackend", "DelegatingBackend", "SQLSavepoints", "declared_abilities", "missing_members", "normalize"]

SettingsT = TypeVar("SettingsT", bound="ConnectionSettings")
ParamsT = TypeVar("ParamsT")
ConnT = TypeVar("ConnT")
ConnT_contra = TypeVar("ConnT_contra", contravariant=True)
CursorT = TypeVar("CursorT", bound=DBAPICursor)
CursorT_co = TypeVar("CursorT_co", bound=DBAPICursor, covariant=True)
SettingsT_co = TypeVar("SettingsT_co", bound="ConnectionSettings", covariant=True)

REQUIRED = ("settings", "get_connection_params", "get_new_connection", "init_connection_state", "_cursor")


def declared_abilities(cls: type) -> frozenset[type]:
    """The ability protocols that *cls* inherits."""
    return frozenset(ability for ability in ABILITIES if ability in cls.__mro__)


def missing_members(candidate: object) -> list[str]:
    """Which required members *candidate* (a class or an instance) lacks, by name."""
    return [name for name in REQUIRED if inspect.getattr_static(candidate, name, None) is None]


class BaseBackend(Backend[ParamsT, ConnT, CursorT], Generic[SettingsT, ParamsT, ConnT, CursorT]):
    """The convenient base of a backend: ``class MySQL(BaseBackend[Settings, Params, Conn, Cursor], vendor="mysql")``.

    Four methods are yours: ``get_connection_params``, ``get_new_connection``, ``init_connection_state`` and
    ``_cursor`` (see `Backend`). The others do what their ability's protocol says happens without it; to offer an
    ability, inherit its protocol before this class and override its methods.

    Instances are hashable, equal for equal class and settings, and safe to use from any thread.
    """

    vendor: ClassVar[str]
    _declared: ClassVar[frozenset[type]]
    settings_class: ClassVar[type[ConnectionSettings]]
    """Taken from the class's type arguments; the registry builds settings with it."""

    def __init__(self, settings: SettingsT) -> None:
        if not hasattr(settings, "derive"):
            raise ImproperlyConfigured(
                f"{type(self).__qualname__} is made from settings, not from {type(settings).__qualname__}; "
                "use make_backend(...) for a mapping or URL"
            )
        self._settings = settings.derive()  # a copy of its own: whoever holds the original cannot reach it

    def __init_subclass__(cls, *, vendor: str, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.vendor = vendor
        cls._declared = declared_abilities(cls)
        found = _settings_argument(cls)
        if found is not None and "settings_class" not in vars(cls):
            cls.settings_class = found
        if _renewed_otherwise(cls):
            cls.renew = _renew_in_parts  # type: ignore[method-assign]  # the inherited one skips the new part
        for ability in declared_abilities(cls):
            for name in sorted(cast("Any", ability).__abstractmethods__):
                if inspect.getattr_static(cls, name) is vars(BaseBackend).get(name):
                    raise TypeError(
                        f"{cls.__name__} declares {ability.__name__} but does not define {name}(); "
                        f"define it, or do not inherit {ability.__name__}"
                    )

    @property
    @final
    def settings(self) -> SettingsT:
        return self._settings

    @property
    def abilities(self) -> frozenset[type]:
        """The ability protocols that hold for this backend; one that wraps another adds the wrapped one's."""
        return self._declared

    @final
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._settings == self._settings and self._same_inside(other)

    @final
    def __hash__(self) -> int:
        return hash((type(self), self._settings))

    def _same_inside(self, other: object) -> bool:
        """Whether what a subclass holds besides the settings is equal too."""
        return True

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._settings.fingerprint[:8]}>"

    @final
    def execute_statement(self, connection: ConnT, sql: str, /) -> None:
        """Run one statement without parameters, for the backend's own use: no checks, no hooks."""
        _execute(self, connection, sql)

    @final
    def errors_for(self, example: object, /) -> DriverErrors:
        """The driver's error classes: as declared, else those of the driver that made *example*."""
        if SupportsDriverErrors in self.abilities:
            return self._driver_errors
        return errors_of_driver(example)

    @cached_property
    def _driver_errors(self) -> DriverErrors:
        """Asked for at each open, and the same for as long as the driver is."""
        return driver_errors(self.driver_errors)

    @final
    def lost_transaction(self, connection: ConnT, /) -> bool:
        """Whether the driver says that no transaction is open, or cannot even say that."""
        try:
            return self.transaction_status(connection) is TransactionStatus.IDLE
        except self.errors_for(connection).caught:
            return True

    # The defaults of the optional abilities: what each protocol says happens without it.

    def configure_connection(self, connection: ConnT, /) -> None:
        """Nothing to configure."""

    def close_connection(self, connection: ConnT, /) -> None:
        cast("Any", connection).close()

    def drop_connection(self, connection: ConnT, /) -> None:
        self.close_connection(connection)

    def ping(self, connection: ConnT, /) -> None:
        """No probe."""

    def is_broken(self, connection: ConnT, /) -> bool:
        return False

    def transaction_status(self, connection: ConnT, /) -> TransactionStatus:
        return TransactionStatus.UNKNOWN

    def reset(self, connection: ConnT, /) -> None:
        self._lacks("SupportsReset")

    def renew(self, connection: ConnT, /) -> None:
        _renew_in_parts(self, connection)

    def begin(self, connection: ConnT, /) -> None:
        self._lacks("SupportsTransactions")

    def commit(self, connection: ConnT, /) -> None:
        self._lacks("SupportsTransactions")

    def rollback(self, connection: ConnT, /) -> None:
        self._lacks("SupportsTransactions")

    def set_autocommit(self, connection: ConnT, autocommit: bool, /) -> None:
        if not autocommit:
            raise ImproperlyConfigured(
                f"AUTOCOMMIT False needs a backend that declares SupportsAutocommit; {self!r} does not"
            )

    def savepoint(self, connection: ConnT, name: str, /) -> None:
        self._lacks("SupportsSavepoints")

    def release_savepoint(self, connection: ConnT, name: str, /) -> None:
        self._lacks("SupportsSavepoints")

    def rollback_to_savepoint(self, connection: ConnT, name: str, /) -> None:
        self._lacks("SupportsSavepoints")

    @property
    def transactional_ddl(self) -> bool:
        return False

    def set_read_only(self, connection: ConnT, read_only: bool, /) -> None:
        self._lacks("SupportsReadOnly")

    def cancel(self, connection: ConnT, /) -> None:
        self._lacks("SupportsCancel")

    def server_version(self, connection: ConnT, /) -> tuple[int, ...]:
        self._lacks("SupportsServerVersion")

    def is_disconnect(self, error: BaseException, /) -> bool:
        return False

    @property
    def driver_errors(self) -> ErrorClasses:
        self._lacks("SupportsDriverErrors")

    def named_cursor(self, connection: ConnT, name: str, /) -> CursorT:
        self._lacks("SupportsNamedCursor")

    @property
    def threadsafety(self) -> int:
        return 1

    @property
    def expiring_params(self) -> frozenset[str]:
        return frozenset()

    def _lacks(self, ability: str) -> NoReturn:
        raise NotSupportedError(f"{self!r} does not declare {ability}, which this needs")


def _renew_in_parts(backend: BaseBackend[Any, Any, ConnT, Any], connection: ConnT, /) -> None:
    backend.reset(connection)
    backend.set_autocommit(connection, backend.settings.autocommit)
    backend.init_connection_state(connection)


def _renewed_otherwise(cls: type[BaseBackend[Any, Any, Any, Any]]) -> bool:
    """Whether *cls* replaces a part of ``renew`` and inherits the whole, which would then do without that part."""
    parts = ("reset", "set_autocommit", "init_connection_state")
    return "renew" not in vars(cls) and any(name in vars(cls) for name in parts)


def _settings_argument(cls: type) -> type[ConnectionSettings] | None:
    """The settings class among the type arguments of *cls*'s bases, where it is given there."""
    for base in vars(cls).get("__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, BaseBackend) and get_args(base):
            argument = get_args(base)[0]
            if isinstance(argument, TypeVar):  # a reference backend, generic over its settings
                argument = getattr(argument, "__default__", None)
            return argument if isinstance(argument, type) else None
    return None


class _HasCursor(Protocol[ConnT_contra]):
    def _cursor(self, connection: ConnT_contra, /) -> DBAPICursor: ...


def _execute(backend: _HasCursor[ConnT], connection: ConnT, sql: str) -> None:
    cursor = backend._cursor(connection)
    try:
        execute_unchecked(cursor, sql)
    finally:
        cursor.close()


class SQLSavepoints(SupportsSavepoints[ConnT]):
    """Savepoints in the SQL standard's own words. A base-class backend inherits it before `BaseBackend`."""

    @override
    def savepoint(self: _HasCursor[ConnT], connection: ConnT, name: str, /) -> None:
        _execute(self, connection, f"SAVEPOINT {name}")

    @override
    def release_savepoint(self: _HasCursor[ConnT], connection: ConnT, name: str, /) -> None:
        _execute(self, connection, f"RELEASE SAVEPOINT {name}")

    @override
    def rollback_to_savepoint(self: _HasCursor[ConnT], connection: ConnT, name: str, /) -> None:
        # ROLLBACK TO keeps the savepoint itself, which would pile up.
        _execute(self, connection, f"ROLLBACK TO SAVEPOINT {name}")
        _execute(self, connection, f"RELEASE SAVEPOINT {name}")


class _WithSettings(Backend[ParamsT, ConnT, CursorT_co], Protocol[SettingsT_co, ParamsT, ConnT, CursorT_co]):
    """A backend, and which settings it has: `Backend` alone leaves that open."""

    @property
    @override
    def settings(self) -> SettingsT_co: ...


class DelegatingBackend(BaseBackend[SettingsT, ParamsT, ConnT, CursorT], vendor="delegating"):
    """A backend around another one, structural or not, with all of its abilities. Made to be subclassed (pools are)."""

    def __init_subclass__(cls, *, vendor: str = "delegating", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    @overload
    def __init__(self, wrapped: _WithSettings[SettingsT, ParamsT, ConnT, CursorT]) -> None: ...

    @overload
    def __init__(self, wrapped: Backend[ParamsT, ConnT, CursorT], settings: SettingsT) -> None: ...

    def __init__(self, wrapped: Backend[ParamsT, ConnT, CursorT], settings: SettingsT | None = None) -> None:
        super().__init__(settings if settings is not None else cast("SettingsT", wrapped.settings))
        self.wrapped = wrapped
        inside = wrapped.abilities if isinstance(wrapped, BaseBackend) else declared_abilities(type(wrapped))
        self._abilities = self._declared | inside
        # An instance's own, since it depends on what is inside: a pool of SQLite connections is SQLite to its user.
        self.__dict__["vendor"] = getattr(wrapped, "vendor", type(self).vendor)

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} of {self.wrapped!r}>"

    @property
    @override
    def abilities(self) -> frozenset[type]:
        return self._abilities

    @override
    def _same_inside(self, other: object) -> bool:
        return isinstance(other, DelegatingBackend) and bool(other.wrapped == self.wrapped)

    @override
    def get_connection_params(self) -> ParamsT:
        return self.wrapped.get_connection_params()

    @override
    def get_new_connection(self, params: ParamsT, /) -> ConnT:
        return self.wrapped.get_new_connection(params)

    @override
    def init_connection_state(self, connection: ConnT, /) -> None:
        self.wrapped.init_connection_state(connection)

    @override
    def _cursor(self, connection: ConnT, /) -> CursorT:
        return self.wrapped._cursor(connection)


def _hand_on(ability: type, name: str) -> Callable[..., Any] | property:
    """The member *name*, the wrapped backend's where it has the *ability*, else the default."""
    default = vars(BaseBackend)[name]

    if isinstance(default, property):

        def get(self: DelegatingBackend[Any, Any, Any, Any]) -> Any:
            return getattr(self.wrapped, name) if ability in self.abilities else default.__get__(self)

        return property(get)

    def call(self: DelegatingBackend[Any, Any, Any, Any], *args: Any) -> Any:
        return getattr(self.wrapped, name)(*args) if ability in self.abilities else default(self, *args)

    call.__name__ = name
    return call


for _ability in ABILITIES:
    for _name in cast("Any", _ability).__abstractmethods__:
        setattr(DelegatingBackend, _name, _hand_on(_ability, _name))


def normalize(backend: Backend[Any, ConnT, CursorT]) -> BaseBackend[Any, Any, ConnT, CursorT]:
    """*backend* itself, or a view of a structural one with the defaults filled in."""
    if BaseBackend in type(backend).__mro__:  # isinstance() asks typing's and abc's metaclasses: ten times as long
        ours: Any = backend
        return ours  # type: ignore[no-any-return]  # mypy cannot see it in the __mro__
    if isinstance(backend, type):
        raise ImproperlyConfigured(
            f"{backend.__qualname__} is a class; make a backend from it: {backend.__qualname__}(settings)"
        )
    missing = missing_members(backend)
    if missing:
        raise ImproperlyConfigured(f"{type(backend).__qualname__} is not a backend: it lacks {', '.join(missing)}")
    return DelegatingBackend(backend)
