"""A Django engine, seen by a check: Django configured with the author's settings, and a witness beside it."""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import os
import secrets
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from backend_sdk import ImproperlyConfigured

from ..blame import is_author_file
from ..judged import traceback_functions
from ..supports.sqlite import SQLiteSupport
from ..verdict import CouldNotRun, NotApplicable, Violation

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Abandoned", "DjangoSubject", "DjangoTarget", "load_target"]

_KIT_KEYS = {"bootstrap", "environment", "test_support"}
_SYNTHETIC = "conformance_engine"


class Abandoned(Exception):
    """What a check raises to make an atomic block fail."""


@dataclass(frozen=True)
class DjangoTarget:
    """The engine's `DatabaseWrapper`, its name as ENGINE, and the settings that Django was configured with."""

    name: str
    engine: str
    cls: type[Any]
    base: Mapping[str, Any] = field(default_factory=dict)
    support: object = None

    @property
    def kit(self) -> Mapping[str, Any]:
        """The settings file's table CONFORMANCE."""
        table: Mapping[str, Any] = self.base.get("CONFORMANCE", {})
        return table

    def check_base(self) -> None:
        """`load_target` has checked them: Django had to be configured first."""

    def with_base(self, base: Mapping[str, Any]) -> DjangoTarget:
        return replace(self, base={**self.base, "DATABASES": {"default": dict(base)}})

    def subject(self, workdir: Path) -> DjangoSubject:
        return DjangoSubject(self, workdir)


def load_target(name: str, base: Mapping[str, Any] | None = None) -> DjangoTarget:
    """Configure Django and load ``django:engine``, or ``django:module:Class``. Raises `ImproperlyConfigured`."""
    settings = _completed(base or {})
    kit = settings["CONFORMANCE"]
    os.environ.update(kit.get("environment", {}))
    engine, _, attribute = name.partition(":")[2].partition(":")
    try:
        django = importlib.import_module("django")
    except ModuleNotFoundError:
        raise ImproperlyConfigured(f"target {name!r}: Django is not installed in this environment") from None
    _configure(settings, _SYNTHETIC if attribute else engine)
    if attribute:
        engine = _engine_of(name, engine, attribute)
    if kit.get("bootstrap"):
        _import(kit["bootstrap"], "CONFORMANCE.bootstrap")
    django.setup()
    cls = _wrapper_class(name, engine)
    support = kit.get("test_support") or getattr(cls, "test_support", None)
    if isinstance(support, str):
        support = _import(support, "test_support")
    if support is None and getattr(getattr(cls, "Database", None), "sqlite_version", None):
        support = SQLiteSupport
    if isinstance(support, type):
        support = support()
    return DjangoTarget(name, engine, cls, settings, support)


def _completed(base: Mapping[str, Any]) -> dict[str, Any]:
    """All tables there; a mapping without DATABASES is one alias, as for other targets."""
    known = {"DATABASES", "CONFORMANCE"}
    settings = dict(base) if known & set(base) else {"DATABASES": {"default": dict(base)}}
    kit = settings.setdefault("CONFORMANCE", {})
    unknown = sorted(set(kit) - _KIT_KEYS)
    if unknown:
        raise ImproperlyConfigured(f"CONFORMANCE.{unknown[0]} is unknown; known: {', '.join(sorted(_KIT_KEYS))}")
    for key, value in kit.get("environment", {}).items():
        if not isinstance(value, str):
            raise ImproperlyConfigured(f"CONFORMANCE.environment.{key} must be a text")
    small = sorted(key for key in settings if not key.isupper())
    if small:
        raise ImproperlyConfigured(f"{small[0]!r} is no Django setting: settings are written in upper case")
    settings.setdefault("DATABASES", {}).setdefault("default", {})
    return settings


def _engine_of(target: str, module: str, attribute: str) -> str:
    """A package in memory whose ``base`` has the class: Django looks engines up by that name alone."""
    try:
        author = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ImproperlyConfigured(f"target {target!r}: there is no module {error.name!r}") from None
        raise
    package, base = types.ModuleType(_SYNTHETIC), types.ModuleType(f"{_SYNTHETIC}.base")
    package.__path__ = []
    vars(base).update({"DatabaseWrapper": getattr(author, attribute, None)})
    sys.modules[package.__name__], sys.modules[base.__name__] = package, base
    return _SYNTHETIC


def _configure(settings: Mapping[str, Any], engine: str) -> None:
    from django.conf import settings as django_settings

    values = {key: value for key, value in settings.items() if key not in {"CONFORMANCE", "DATABASES"}}
    aliases = {alias: {"ENGINE": engine, **table} for alias, table in settings["DATABASES"].items()}
    values.setdefault("SECRET_KEY", "conformance")
    if not django_settings.configured:
        django_settings.configure(**values, DATABASES=aliases)


def _import(path: str, key: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ModuleNotFoundError, AttributeError) as error:
        raise ImproperlyConfigured(f"{key} = {path!r} cannot be loaded: {error}") from None


def _wrapper_class(name: str, engine: str) -> type[Any]:
    from django.db.backends.base.base import BaseDatabaseWrapper

    try:
        module = importlib.import_module(f"{engine}.base")
    except ModuleNotFoundError as error:
        if error.name is not None and f"{engine}.base.".startswith(f"{error.name}."):
            raise ImproperlyConfigured(
                f"target {name!r}: there is no module {error.name!r}; Django loads an engine from ENGINE.base"
            ) from None
        raise
    cls = getattr(module, "DatabaseWrapper", None)
    if not isinstance(cls, type) or not issubclass(cls, BaseDatabaseWrapper):
        raise ImproperlyConfigured(f"target {name!r}: {engine}.base has no DatabaseWrapper derived from Django's")
    return cls


class Witness:
    """A second session by the driver's own means; each read is of the moment."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, sql: str) -> None:
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
        finally:
            cursor.close()
        with contextlib.suppress(Exception):  # one that is in autocommit may refuse
            self.connection.commit()

    def scalar(self, sql: str) -> Any:
        with contextlib.suppress(Exception):
            self.connection.rollback()
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
            return cursor.fetchone()[0]
        finally:
            cursor.close()

    def close(self) -> None:
        self.connection.close()


class DjangoSubject:
    """One check's view: fresh databases under the aliases ``default`` and ``other``, and all closed at the end."""

    def __init__(self, target: DjangoTarget, workdir: Path) -> None:
        self.target = target
        self.cls = target.cls
        self.workdir = workdir
        self.mapping: Mapping[str, Any] = {}
        self.TABLE = f"conformance_{secrets.token_hex(4)}"
        self._stack = ExitStack()
        self._wrappers: list[Any] = []

    def __enter__(self) -> Self:
        self.db: Any = importlib.import_module("django.db")
        databases = {alias: dict(copy.deepcopy(table)) for alias, table in self.target.base["DATABASES"].items()}
        for alias in ("default", "other"):
            table = databases.get(alias) or copy.deepcopy(self.target.base["DATABASES"]["default"])
            databases[alias] = self._fresh(alias, table)
        for table in databases.values():
            table.setdefault("ENGINE", self.target.engine)
        handler = self.db.connections
        handler.settings = handler.configure_settings(databases)
        importlib.import_module("django.conf").settings.DATABASES = handler.settings
        self.mapping = databases["default"]
        return self

    def _fresh(self, alias: str, table: dict[str, Any]) -> dict[str, Any]:
        if getattr(getattr(self.cls, "Database", None), "sqlite_version", None):
            table.setdefault("OPTIONS", {"timeout": 5})  # one option at least, that can be seen to go
        database = getattr(self.target.support, "database", None)
        folder = self.workdir / alias
        folder.mkdir()
        if database is not None:
            return {**table, **self._stack.enter_context(database(table, folder))}
        if not table.get("NAME"):
            table["NAME"] = str(folder / "conformance.db")
        return table

    def __exit__(self, *_exception: object) -> None:
        for wrapper in self._wrappers:
            for end in (lambda: setattr(wrapper, "in_atomic_block", False), wrapper.close):  # noqa: B023 - run at once
                with contextlib.suppress(Exception):
                    end()
        self._wrappers.clear()
        self._stack.close()

    # What it is made of

    @property
    def is_file(self) -> bool:
        """Whether the databases are files that the kit has made, one per alias."""
        return str(self.workdir) in str(self.mapping.get("NAME", ""))

    def alias_settings(self, alias: str = "default") -> dict[str, Any]:
        """The dict that Django hands to every wrapper of *alias*, in every thread."""
        found: dict[str, Any] = self.db.connections.settings[alias]
        return found

    def wrapper(self, alias: str = "default", **changes: Any) -> Any:
        """A new wrapper, as Django makes one, and this thread's for *alias*. *changes*: keys in upper case."""
        wrapper = self.loose(alias, **changes)
        self.db.connections[alias] = wrapper
        return wrapper

    def loose(self, alias: str = "default", **changes: Any) -> Any:
        """A new wrapper that `connections` does not know; with *changes*, its settings are a copy."""
        settings = self.alias_settings(alias)
        if changes:
            settings = {**copy.deepcopy(settings), **changes}
        wrapper = self.cls(settings, alias)
        self._wrappers.append(wrapper)
        return wrapper

    def forget(self, wrapper: Any) -> None:
        """The caller takes over: it is not closed at the end, nor kept alive till then."""
        self._wrappers = [other for other in self._wrappers if other is not wrapper]
        with contextlib.suppress(AttributeError):
            if self.db.connections[wrapper.alias] is wrapper:
                del self.db.connections[wrapper.alias]

    def atomic(self, wrapper: Any, **options: Any) -> Any:
        return self.db.transaction.atomic(using=wrapper.alias, **options)

    @contextlib.contextmanager
    def failing_block(self, wrapper: Any) -> Iterator[None]:
        """An atomic block that raises at its end."""
        with contextlib.suppress(Abandoned), self.atomic(wrapper):
            yield
            raise Abandoned

    def witness(self, alias: str = "default") -> Witness:
        """A second session by the driver's own means."""
        settings = self.alias_settings(alias)
        made = getattr(self.target.support, "witness", None)
        if made is not None:
            return Witness(made(settings))
        database = getattr(self.cls, "Database", None)
        if not callable(getattr(database, "connect", None)):
            raise CouldNotRun("lacks witness(): the engine's Database has no connect(); give CONFORMANCE.test_support")
        params = dict(self.cls(copy.deepcopy(settings), alias).get_connection_params())
        params.pop("pool", None)
        return Witness(database.connect(**params))  # type: ignore[union-attr]  # a module that has connect()

    # What it can do

    def support(self, name: str) -> Any:
        method = getattr(self.target.support, name, None)
        if method is None:
            raise CouldNotRun(f"lacks {name}(): give CONFORMANCE.test_support a class that has it")
        return method

    def sessions(self) -> int:
        count: int = self.support("sessions")(self.mapping)
        return count

    def kill(self, wrapper: Any) -> None:
        """End the session of *wrapper* from outside, by the support's means or by closing the driver's connection."""
        end = getattr(self.target.support, "terminate", None)
        if end is not None:
            end(self.mapping, wrapper.connection)
        else:
            wrapper.connection.close()

    def needs_transactions(self) -> None:
        """Not applicable to an engine that says it has none; Django's own probing is no saying."""
        if self.declares_no("supports_transactions"):
            raise NotApplicable("the engine's features say supports_transactions = False")

    def declares_no(self, feature: str) -> bool:
        for cls in self.cls.features_class.__mro__:
            if feature in vars(cls):
                return vars(cls)[feature] is False
        return False

    def needs_a_session_to_lose(self) -> None:
        """A file has none; an engine that takes over Django's own sqlite3 is_usable() has only the file."""
        if self.definer("is_usable").__module__ == "django.db.backends.sqlite3.base":
            raise NotApplicable("a file has no session that can be lost")

    def definer(self, method: str) -> type[Any]:
        return next((cls for cls in self.cls.__mro__ if method in vars(cls)), object)

    # Statements

    def execute(self, wrapper: Any, sql: str) -> None:
        with wrapper.cursor() as cursor:
            cursor.execute(sql)

    def scalar(self, wrapper: Any, sql: str) -> Any:
        with wrapper.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def insert(self, wrapper: Any, number: int) -> None:
        self.execute(wrapper, f"INSERT INTO {self.TABLE} (id, note) VALUES ({number}, 'row')")

    def create_table(self, *aliases: str) -> str:
        """The kit's table in the databases of *aliases* (``default``), by the witness, committed."""
        for alias in aliases or ("default",):
            self._on(alias, f"CREATE TABLE {self.TABLE} ({self._columns()})")
            if not self.is_file:
                self._stack.callback(self._on, alias, f"DROP TABLE {self.TABLE}")
        return self.TABLE

    def _columns(self) -> str:
        names: Mapping[str, str] = getattr(self.target.support, "type_names", dict)()
        return f"id {names.get('integer', 'INTEGER')} PRIMARY KEY, note {names.get('text', 'VARCHAR(100)')}"

    def _on(self, alias: str, sql: str) -> None:
        witness = self.witness(alias)
        try:
            witness.execute(sql)
        finally:
            witness.close()

    def seen(self, alias: str = "default") -> int:
        """How many rows a session of the driver's own sees."""
        witness = self.witness(alias)
        try:
            return int(witness.scalar(f"SELECT count(*) FROM {self.TABLE}"))
        finally:
            witness.close()

    def own(self, wrapper: Any) -> int:
        """How many rows the wrapper's own session sees."""
        return int(self.scalar(wrapper, f"SELECT count(*) FROM {self.TABLE}"))

    def require_seen(self, rows: int, when: str, *, blame: str = "", alias: str = "default") -> None:
        seen = self.seen(alias)
        self.require(seen == rows, f"{when} another session sees {seen} row(s) instead of {rows}", blame=blame)

    # Saying what is wrong

    def fail(self, observed: str, *, blame: str = "", advice: str = "", where: str = "") -> NoReturn:
        raise Violation(observed, blame=blame, advice=advice, where=where)

    def require(self, condition: object, observed: str, *, blame: str = "", advice: str = "") -> None:
        if not condition:
            raise Violation(observed, blame=blame, advice=advice)

    def require_django_error(self, what: str, call: Callable[[], object], name: str = "Error") -> Any:
        """*call* raises Django's error *name*; returns it. Its cause has to be the driver's, where there is one."""
        wanted = getattr(self.db.utils, name)
        try:
            call()
        except wanted as error:
            return error
        except Exception as error:
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            raise Violation(f"{what} raised {kind}, not django.db.utils.{name}: {error}") from error
        raise Violation(f"{what} raised nothing")

    # For the machinery

    def secret_texts(self) -> Iterable[str]:
        tables = self.target.base["DATABASES"].values()
        options = [table.get("OPTIONS", {}) for table in tables]
        found = [table.get("PASSWORD") for table in tables]
        found += [table.get(key) for table in options for key in ("password", "passwd", "pwd", "token", "secret")]
        return [str(text) for text in found if text]

    def author_files(self) -> set[str]:
        """Every file of the packages that the wrapper's classes are from, Django's own base aside."""
        packages = {cls.__module__.partition(".")[0] for cls in self.cls.__mro__ if self._is_authors(cls)}
        files = (
            getattr(module, "__file__", None)
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in packages
        )
        return {file for file in files if file is not None and is_author_file(file)}

    def _is_authors(self, cls: type) -> bool:
        """Django's engines are the author's own where Django's engine is the target."""
        if self.target.engine.startswith("django."):
            return cls.__module__.startswith("django.")
        return cls is not object and not cls.__module__.startswith("django.")

    def blamed(self, methods: Iterable[str], profile: str) -> tuple[str, str]:
        """The first of *methods* that the author has written; else Django's, which is inherited.

        Django's own engines meet Django's own contract: where an author's does not, and he has overridden
        anything at all, it is not inherited. The stricter contract they break by themselves.
        """
        found = [(name, self.definer(name)) for name in methods]
        for name, cls in found:
            if self._is_authors(cls):
                return _place(vars(cls)[name]), ""
        if profile != "strict" and self._overrides_something():
            return "", ""
        for name, cls in found:
            if cls is not object:
                return _place(vars(cls)[name]), f"{cls.__module__}.{cls.__qualname__}"
        return "", ""

    def _overrides_something(self) -> bool:
        own = {name for cls in self.cls.__mro__ if self._is_authors(cls) for name in vars(cls)}
        return bool(own - {"__module__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__"})

    def excuses(self, inherited: str) -> bool:
        return bool(inherited)

    def unreachable(self, error: BaseException) -> str:
        host = self.mapping.get("HOST")
        at_connect = "get_new_connection" in traceback_functions(error.__traceback__)
        if not host or not at_connect or not isinstance(error, self.db.utils.OperationalError):
            return ""
        return f"{host}:{self.mapping['PORT']}" if self.mapping.get("PORT") else str(host)

    def is_targets_error(self, error: BaseException) -> bool:
        return isinstance(error, (self.db.utils.Error, getattr(getattr(self.cls, "Database", None), "Error", ())))


def _place(member: Any) -> str:
    found: Any = member.fget if isinstance(member, property) else getattr(member, "func", member)
    function: Any = inspect.unwrap(getattr(found, "__func__", found))
    try:
        return f"{inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (TypeError, OSError):
        return ""
