"""What is under test, seen by a check: a backend of this SDK, its database, and a witness beside it."""

from __future__ import annotations

import importlib
import inspect
import json
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from backend_sdk import (
    Backend,
    BaseBackend,
    DatabaseWrapper,
    DelegatingBackend,
    ImproperlyConfigured,
    OperationalError,
    SupportsLeases,
    load_backend_class,
    normalize,
    settings_class_of,
)

from .aside import aside
from .blame import files_of, inherited_from
from .verdict import CouldNotRun, NotApplicable, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from backend_sdk import ConnectionSettings

__all__ = ["AnyBackend", "AnyWrapper", "Subject", "Target", "Witness", "load_target"]

AnyBackend = BaseBackend[Any, Any, Any, Any]
AnyWrapper = DatabaseWrapper[Any, Any]


@dataclass(frozen=True)
class Target:
    """A loaded backend class, the alias mapping the user gave, and the author's test support."""

    name: str
    cls: type[Backend[Any, Any, Any]]
    base: Mapping[str, Any] = field(default_factory=dict)
    support: object = None

    @property
    def settings_class(self) -> type[ConnectionSettings]:
        return settings_class_of(self.cls)

    def check_base(self, workdir: Path) -> None:
        """Raise `ImproperlyConfigured` for a mistake in what the user gave; each check names a database of its own."""
        try:
            name = str(workdir / "conformance.db")
            settings = self.settings_class.from_mapping({"ENGINE": self.name, "NAME": name, **self.base})
            make: Any = self.cls
            make(settings)  # some look at their settings only here: is the driver that they name there?
        except ImproperlyConfigured:
            if self.base or self.support is None:  # else the support may know what is missing
                raise
        except Exception:  # no mistake of the user's: SET-001 will tell
            return

    def with_base(self, base: Mapping[str, Any]) -> Target:
        return replace(self, base=dict(base))

    def subject(self, workdir: Path) -> Subject:
        return Subject(self, workdir)


def load_target(name: str, base: Mapping[str, Any] | None = None) -> Target:
    """Resolve *name* (engine name, module, ``module:Class``, file path) and its ``test_support``.

    Raises `ImproperlyConfigured`; an error of the author's own import passes through.
    """
    engine = _module_of_file(name) if name.endswith(".py") else name
    cls = load_backend_class(engine)
    support = support_of(cls)
    if issubclass(cls, DelegatingBackend):
        support = _Supports(support, *_supports_inside(name, cls, base or {}))
    return Target(name, cls, dict(base or {}), support)


def support_of(cls: type) -> object:
    """An instance of what the class names as its ``test_support``; None without."""
    support = getattr(cls, "test_support", None)
    if isinstance(support, str):
        support = _load_support(support)
    return support() if isinstance(support, type) else support


class _Supports:
    """The test support of a backend around others: its own, then theirs, from the outermost on."""

    def __init__(self, *supports: object) -> None:
        self._supports = supports

    def __getattr__(self, name: str) -> Any:
        for support in self._supports:
            found = getattr(support, name, None)
            if found is not None:
                return found
        raise AttributeError(name)


def _supports_inside(name: str, cls: type[Backend[Any, Any, Any]], base: Mapping[str, Any]) -> list[object]:
    """The test supports of what *cls*, with these settings, is around, which a child makes to see it."""
    with TemporaryDirectory(prefix="conformance-") as folder:
        given = {"ENGINE": name, "NAME": str(Path(folder) / "conformance.db"), **base}
        said = json.loads(aside(lambda: _classes_inside(cls, given)) or "{}")
    if "refused" in said:
        raise ImproperlyConfigured(said["refused"])
    return [support_of(load_backend_class(inside)) for inside in said.get("classes", ())]


def _classes_inside(cls: type[Backend[Any, Any, Any]], given: Mapping[str, Any]) -> str:
    make: Any = cls
    try:
        made: Any = make(settings_class_of(cls).from_mapping(given))
    except ImproperlyConfigured as error:
        return json.dumps({"refused": str(error)})
    found: list[str] = []
    while isinstance(made, DelegatingBackend):
        made = made.wrapped
        found.append(f"{type(made).__module__}:{type(made).__qualname__}")
    return json.dumps({"classes": [name for name in found if "." not in name.partition(":")[2]]})


def _module_of_file(path: str) -> str:
    import importlib.util
    import sys

    file = Path(path)
    if not file.is_file():
        raise ImproperlyConfigured(f"target {path!r}: there is no such file")
    name = file.stem
    if name in sys.modules:
        return name
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImproperlyConfigured(f"target {path!r}: not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return name


def _load_support(path: str) -> object:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(f"test_support {path!r} cannot be loaded: {error}") from None


class Witness:
    """A second session, by the driver's own means: it sees what is really in the database."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, sql: str) -> list[Any]:
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def scalar(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def execute(self, sql: str) -> None:
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
        finally:
            cursor.close()

    def close(self) -> None:
        self.connection.close()


class Subject:
    """One check's view: a fresh database, and everything made here is let go at the end. Use as a context manager."""

    def __init__(self, target: Target, workdir: Path) -> None:
        self.target = target
        self.cls = target.cls
        self.workdir = workdir
        self._stack = ExitStack()
        self.mapping: dict[str, Any] = {}
        self.TABLE = f"conformance_{secrets.token_hex(4)}"  # checks may run side by side in one database

    def __enter__(self) -> Subject:
        self.mapping = self._fresh_database()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _fresh_database(self) -> dict[str, Any]:
        mapping = {"ENGINE": self.target.name, **self.target.base}
        database = getattr(self.target.support, "database", None)
        if database is not None:
            return {"ENGINE": self.target.name, **self._stack.enter_context(database(mapping, self.workdir))}
        mapping.setdefault("NAME", str(self.workdir / "conformance.db"))
        private = self.target.settings_class.from_mapping(mapping).is_private
        if private or mapping["NAME"] == ":memory:":  # no witness could see into it
            mapping["NAME"] = str(self.workdir / "conformance.db")
        return mapping

    # What it is made of

    def settings(self, **changes: Any) -> ConnectionSettings:
        """The settings for this check's database; *changes* are keys in upper case."""
        return self.target.settings_class.from_mapping({**self.mapping, **changes})

    def backend(self, **changes: Any) -> Backend[Any, Any, Any]:
        """A new instance of the class under test."""
        make: Any = self.cls
        made: Backend[Any, Any, Any] = make(self.settings(**changes))
        return made

    def view(self, **changes: Any) -> AnyBackend:
        """A new instance with the defaults of its optional abilities filled in."""
        return normalize(self.backend(**changes))

    def opener(self, **changes: Any) -> AnyBackend:
        """As `view`; of a pool, the one behind it, which opens."""
        made = self.backend(**changes)
        while isinstance(made, DelegatingBackend) and SupportsLeases in made.abilities:
            made = made.wrapped
        return normalize(made)

    def wrapper(self, alias: str = "default", **changes: Any) -> AnyWrapper:
        """A new wrapper, owned by the calling thread, not yet open."""
        return DatabaseWrapper(self.backend(**changes), alias)

    def witness(self) -> Witness:
        """A second session by the driver's own means."""
        made = getattr(self.target.support, "witness", None)
        if made is not None:
            return Witness(made(self.mapping))
        view = self.opener()
        connection = view.get_new_connection(view.get_connection_params())
        view.configure_connection(connection)
        view.set_autocommit(connection, True)
        return Witness(connection)

    # What it can do

    def needs(self, *abilities: type) -> None:
        """Raise `NotApplicable` unless the backend declares all *abilities*."""
        declared = self.view().abilities
        for ability in abilities:
            if ability not in declared:
                raise NotApplicable(f"the backend does not declare {ability.__name__}")

    def has(self, ability: type) -> bool:
        return ability in self.view().abilities

    @property
    def leases(self) -> bool:
        """Whether it hands connections on, as pools do, instead of opening one at each connect."""
        return self.has(SupportsLeases)

    def limited(self, **limits: float) -> dict[str, Any]:
        """Changes of the settings for a pool with *limits*, as its author's test support says them."""
        given: Mapping[str, Any] = self.support("pool_limits")(self.mapping, **limits)
        return {key: value for key, value in given.items() if key != "ENGINE"}

    def support(self, name: str) -> Any:
        """The author's test support method *name*; raises `CouldNotRun` where it is absent."""
        method = getattr(self.target.support, name, None)
        if method is None:
            raise CouldNotRun(f"lacks {name}(): give the backend a test_support that has it")
        return method

    def sessions(self) -> int:
        count: int = self.support("sessions")(self.mapping)
        return count

    def terminate(self, connection: Any) -> None:
        self.support("terminate")(self.mapping, connection)

    # Tables

    def type_name(self, kind: str) -> str:
        names = getattr(self.target.support, "type_names", None)
        defaults = {"integer": "INTEGER", "text": "VARCHAR(100)"}
        found: str = {**defaults, **(names() if names is not None else {})}[kind]
        return found

    def create_table(self) -> str:
        """Create the kit's table, by the witness, committed; returns its name."""
        witness = self.witness()
        try:
            witness.execute(
                f"CREATE TABLE {self.TABLE} (id {self.type_name('integer')} PRIMARY KEY, note {self.type_name('text')})"
            )
        finally:
            witness.close()
        if not hasattr(self.target.support, "database"):
            self._stack.callback(self._drop_table)
        return self.TABLE

    def _drop_table(self) -> None:
        try:
            witness = self.witness()
            try:
                witness.execute(f"DROP TABLE {self.TABLE}")
            finally:
                witness.close()
        except Exception as error:  # the verdict is on the backend, not on the tidying up
            print(f"the table {self.TABLE} could not be dropped: {error}")

    def count_rows(self) -> int:
        """How many rows the kit's table has, as a second session sees it."""
        witness = self.witness()
        try:
            return int(witness.scalar(f"SELECT count(*) FROM {self.TABLE}"))
        finally:
            witness.close()

    def execute(self, wrapper: AnyWrapper, sql: str) -> None:
        """One statement through the wrapper, its cursor closed."""
        with wrapper.cursor() as cursor:
            cursor.execute(sql)

    def insert(self, wrapper: AnyWrapper, number: int) -> None:
        self.execute(wrapper, f"INSERT INTO {self.TABLE} (id, note) VALUES ({number}, 'row')")

    # Saying what is wrong

    def fail(self, observed: str, *, blame: str = "", advice: str = "", where: str = "") -> NoReturn:
        """The requirement is not met: *observed* says what was seen instead."""
        raise Violation(observed, blame=blame, advice=advice, where=where)

    def require(self, condition: object, observed: str, *, blame: str = "", advice: str = "") -> None:
        """`fail` unless *condition* holds."""
        if not condition:
            raise Violation(observed, blame=blame, advice=advice)

    def place_of(self, method: str) -> tuple[str, str]:
        """``file:line`` of the backend's *method* and the class that defines it; empty where it has no source."""
        for cls in self.cls.__mro__:
            member = vars(cls).get(method)
            if member is not None:
                return _source_of(member), cls.__qualname__
        return "", ""

    # For the machinery

    def secret_texts(self) -> Iterable[str]:
        return self.settings().secret_texts()

    def author_files(self) -> set[str]:
        return files_of(self.cls)

    def blamed(self, methods: Iterable[str], _profile: str) -> tuple[str, str]:
        for name in methods:
            where, _ = self.place_of(name)
            if where:
                return where, inherited_from(self.cls, name)
        return "", ""

    def excuses(self, _inherited: str) -> bool:
        return False  # an author answers for the backend that his is derived from

    def unreachable(self, error: BaseException) -> str:
        """A server that cannot be reached says nothing about the backend."""
        if not self.mapping.get("HOST") or not isinstance(error, OperationalError) or error.step != "connect":
            return ""
        port = self.mapping.get("PORT")
        return f"{self.mapping['HOST']}{f':{port}' if port else ''}"

    def is_targets_error(self, _error: BaseException) -> bool:
        return False


def _source_of(member: Any) -> str:
    found: Any = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    function: Any = inspect.unwrap(found)
    try:
        file = inspect.getsourcefile(function)
        line = inspect.getsourcelines(function)[1]
    except (TypeError, OSError):
        return ""
    return f"{file}:{line}"
