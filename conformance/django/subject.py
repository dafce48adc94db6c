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
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from backend_sdk import ImproperlyConfigured

from ..blame import is_author_file
from ..judged import traceback_functions
from ..verdict import CouldNotRun, NotApplicable, Violation
from .settings import completed, configure, in_one_line, loaded, set_up
from .supports import with_the_drivers

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Abandoned", "DjangoSubject", "DjangoTarget", "load_target"]

_SYNTHETIC = "conformance_engine"


class Abandoned(Exception):
    """What a check raises to make an atomic block fail."""


@dataclass(frozen=True)
class DjangoTarget:
    """The engine's `DatabaseWrapper`, its name as ENGINE, and the settings that Django was configured with."""

    name: str
    engine: str
    cls: type[Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    support: object = None

    @property
    def base(self) -> Mapping[str, Any]:
        """The alias that is judged."""
        table: Mapping[str, Any] = self.settings["DATABASES"]["default"]
        return table

    def check_base(self) -> None:
        """`load_target` has checked them: Django had to be configured first."""

    def with_base(self, base: Mapping[str, Any]) -> DjangoTarget:
        aliases = {**self.settings["DATABASES"], "default": dict(base)}
        return replace(self, settings={**self.settings, "DATABASES": aliases})

    def subject(self, workdir: Path) -> DjangoSubject:
        return DjangoSubject(self, workdir)

    def stock(self) -> Iterator[DjangoTarget]:
        """The engine of Django's that this one is nearest to, with these OPTIONS and, should it refuse them, with none."""
        cls = next((cls for cls in self.cls.__mro__ if _is_stock_engine(cls)), None)
        if cls is None or self.engine.startswith("django."):
            return
        stock = replace(self, name=f"{cls.__module__}.{cls.__qualname__}", engine=cls.__module__.removesuffix(".base"), cls=cls)
        yield stock
        yield stock.with_base({**self.base, "OPTIONS": {}})


def _is_stock_engine(cls: type) -> bool:
    return cls.__module__.startswith("django.") and not cls.__module__.startswith("django.db.backends.base.")


def load_target(name: str, base: Mapping[str, Any] | None = None) -> DjangoTarget:
    """Configure Django and load ``django:engine``, or ``django:module:Class``. Raises `ImproperlyConfigured`."""
    settings = completed(base or {})
    kit = settings["CONFORMANCE"]
    os.environ.update(kit.get("environment", {}))
    engine, _, attribute = name.partition(":")[2].partition(":")
    try:
        importlib.import_module("django")
    except ModuleNotFoundError:
        raise ImproperlyConfigured(f"target {name!r}: Django is not installed in this environment") from None
    configure(settings, _SYNTHETIC if attribute else engine)
    if kit.get("bootstrap"):
        loaded(kit["bootstrap"], "CONFORMANCE.bootstrap")
    if attribute:
        engine = _engine_of(name, engine, attribute)
    set_up()
    cls = _class_of_wrappers(name, _wrapper_class(name, engine))
    support = kit.get("test_support") or getattr(cls, "test_support", None)
    if isinstance(support, str):
        support = loaded(support, "test_support")
    if isinstance(support, type):
        support = support()
    return DjangoTarget(name, engine, cls, settings, with_the_drivers(support, cls))


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


def _wrapper_class(name: str, engine: str) -> type[Any]:
    from django.core.exceptions import ImproperlyConfigured as Refused
    from django.db.backends.base.base import BaseDatabaseWrapper

    try:
        module = importlib.import_module(f"{engine}.base")
    except Refused as error:  # as where a driver is missing
        raise ImproperlyConfigured(f"target {name!r}: {in_one_line(error)}") from None
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


def _class_of_wrappers(name: str, cls: type[Any]) -> type[Any]:
    """What a wrapper of the alias ``default`` is: an engine around another one derives its class by the settings."""
    from django.core.exceptions import ImproperlyConfigured as Refused

    connections: Any = importlib.import_module("django.db").connections
    try:
        # A copy: what the engine takes out of its settings must still be there for the checks to see it go.
        return type(cls(copy.deepcopy(connections.settings["default"]), "default"))
    except Refused as error:
        raise ImproperlyConfigured(f"target {name!r}: {in_one_line(error)}") from None
    except Exception:  # the checks tell, one by one
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
        self._unmade: set[str] = set()
        self.TABLE = f"conformance_{secrets.token_hex(4)}"
        self._stack = ExitStack()
        self._wrappers: list[Any] = []

    def __enter__(self) -> Self:
        self.db: Any = importlib.import_module("django.db")
        databases = {alias: dict(copy.deepcopy(table)) for alias, table in self.target.settings["DATABASES"].items()}
        if not databases.get("other"):
            databases["other"] = copy.deepcopy(databases["default"])
        for alias, table in databases.items():
            table.setdefault("ENGINE", self.target.engine)
            if alias in {"default", "other"} and getattr(getattr(self.cls, "Database", None), "sqlite_version", None):
                table.setdefault("OPTIONS", {"timeout": 5})  # one option at least, that can be seen to go
        handler = self.db.connections
        handler.settings = handler.configure_settings(databases)
        importlib.import_module("django.conf").settings.DATABASES = handler.settings
        self._unmade = {"default", "other"}
        return self

    def _make(self, alias: str, table: dict[str, Any]) -> None:
        """The database of *alias*, when it is first asked for: few checks need a second one."""
        self._unmade.discard(alias)
        folder = self.workdir / alias
        folder.mkdir()
        database = getattr(self.target.support, "database", None)
        if database is not None:
            try:
                table.update(self._stack.enter_context(database(dict(table), folder)))
            except (CouldNotRun, NotApplicable):
                raise
            except Exception as error:
                raise CouldNotRun(f"no fresh database could be made: {' '.join(str(error).split())}") from error
        elif not table.get("NAME"):
            table["NAME"] = str(folder / "conformance.db")

    def __exit__(self, *_exception: object) -> None:
        self.let_go()
        try:
            self._stack.close()
        except Exception as error:  # the verdict is on the engine, not on the tidying up
            print(f"what the check has made could not be removed: {error}")

    def let_go(self) -> None:
        """Close every wrapper that was made here, and Django's own pools."""
        for wrapper in self._wrappers:
            ends: list[Callable[[], object]] = [
                lambda: setattr(wrapper, "in_atomic_block", False),  # noqa: B023 - run at once
                wrapper.close,
                lambda: wrapper.close_pool(),  # noqa: B023 - Django's own pool, from 5.1 on
            ]
            for end in ends:
                with contextlib.suppress(Exception):
                    end()
        self._wrappers.clear()

    # What it is made of

    @property
    def mapping(self) -> dict[str, Any]:
        """The settings of the alias ``default``."""
        return self.alias_settings()

    @property
    def has_two_databases(self) -> bool:
        """Whether the alias ``other`` leads elsewhere."""
        keys = ("NAME", "HOST", "PORT")
        default, other = self.alias_settings(), self.alias_settings("other")
        return [default.get(key) for key in keys] != [other.get(key) for key in keys]

    @property
    def is_file(self) -> bool:
        """Whether the databases are files that the kit has made, one per alias."""
        return str(self.workdir) in str(self.mapping.get("NAME", ""))

    def alias_settings(self, alias: str = "default") -> dict[str, Any]:
        """The dict that Django hands to every wrapper of *alias*, in every thread. An unknown alias has default's."""
        known: dict[str, dict[str, Any]] = self.db.connections.settings
        found = known[alias if alias in known else "default"]
        if alias in self._unmade or (alias not in known and "default" in self._unmade):
            self._make(alias if alias in known else "default", found)
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

    def kill(self, wrapper: Any, connection: Any = None) -> None:
        """End the session of *wrapper* from outside, by the support's means or by closing the driver's connection.

        *connection*: the one that it had, where a pool may have it back by now.
        """
        held = wrapper.connection if connection is None else connection
        end = getattr(self.target.support, "terminate", None)
        if end is None:
            held.close()
            return
        try:
            end(self.mapping, held)
        except Exception as error:  # the support's own failure is none of the engine's
            raise CouldNotRun(f"terminate() of the test support raised {type(error).__name__}: {error}") from error

    def needs_transactions(self) -> None:
        """Not applicable to an engine that says it has none; Django's own probing is no saying."""
        if self.declares_no("supports_transactions"):
            raise NotApplicable("the engine's features say supports_transactions = False")

    def needs_savepoints(self) -> None:
        self.needs_transactions()
        if not self.loose().features.uses_savepoints:
            raise NotApplicable("the engine's features say uses_savepoints = False")

    def declares_no(self, feature: str) -> bool:
        for cls in self.cls.features_class.__mro__:
            if feature in vars(cls):
                return vars(cls)[feature] is False
        return False

    def needs_a_session_to_lose(self) -> None:
        """A file has none, unless its support says otherwise; Django's own sqlite3 calls every connection usable."""
        if self.is_file and not getattr(self.target.support, "loses_sessions", False):
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

    def in_session(self, wrapper: Any, sql: str) -> Any:
        """What the database says, asked by the driver's own cursor in the wrapper's session, where there is one."""
        held = wrapper.connection
        cursor = held.cursor() if hasattr(held, "cursor") else wrapper.cursor()
        try:
            cursor.execute(sql)
            return cursor.fetchone()[0]
        finally:
            cursor.close()

    def witnessed(self, sql: str, alias: str = "default") -> Any:
        """What a session of the driver's own is told."""
        witness = self.witness(alias)
        try:
            return witness.scalar(sql)
        finally:
            witness.close()

    def use_time_zones(self) -> None:
        """USE_TZ, without which an alias has no TIME_ZONE; for this check, whose process is its own."""
        try:
            zoneinfo.ZoneInfo("Asia/Tokyo")
        except zoneinfo.ZoneInfoNotFoundError:
            raise CouldNotRun("Python knows no time zones here: pip install tzdata") from None
        importlib.import_module("django.conf").settings.USE_TZ = True

    def create_table(self, *aliases: str) -> str:
        """The kit's table in the databases of *aliases* (``default``), by the witness, committed."""
        for alias in aliases or ("default",):
            self._on(alias, f"CREATE TABLE {self.TABLE} ({self._columns()})")
            if not hasattr(self.target.support, "database"):
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
        return int(self.witnessed(f"SELECT count(*) FROM {self.TABLE}", alias))

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
        tables = self.target.settings["DATABASES"].values()
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
