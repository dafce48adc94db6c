"""What the engine overrides, against what the installed Django passes and keeps."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance.register import requirement

if TYPE_CHECKING:
    from ..subject import DjangoSubject

HELPERS = (
    "client_class", "creation_class", "features_class", "introspection_class", "ops_class", "validation_class",
    "SchemaEditorClass",
)  # fmt: skip
PEP_249 = (
    "DataError", "OperationalError", "IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError",
    "DatabaseError", "InterfaceError", "Error",
)  # fmt: skip
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Override(NamedTuple):
    """The author's method and the Django method that it replaces."""

    cls: type
    base: type
    name: str
    own: Any
    djangos: Any

    def __str__(self) -> str:
        return f"{self.cls.__qualname__}.{self.name}"


def classes(subject: DjangoSubject) -> Iterator[type]:
    yield subject.cls
    for name in HELPERS:
        helper = getattr(subject.cls, name, None)
        if isinstance(helper, type):
            yield helper


def overrides(subject: DjangoSubject) -> Iterator[Override]:
    """Each member that a class of the engine has and a class of Django's behind it has too."""
    seen: set[tuple[type, str]] = set()
    for cls in classes(subject):
        order = cls.__mro__
        for position, owner in enumerate(order):
            if _is_djangos(subject, owner):
                continue
            for name, member in vars(owner).items():
                if name.startswith("__") and name != "__init__":
                    continue
                base = next((other for other in order[position + 1 :] if name in vars(other)), None)
                while base is not None and not _is_djangos(subject, base):
                    base = next((other for other in order[order.index(base) + 1 :] if name in vars(other)), None)
                if base is not None and (owner, name) not in seen:
                    seen.add((owner, name))
                    yield Override(owner, base, name, member, vars(base)[name])


def _is_djangos(subject: DjangoSubject, cls: type) -> bool:
    """Where Django's own engine is the target, its base classes are what it is held against."""
    base = "django.db.backends.base." if subject.target.engine.startswith("django.") else "django."
    return cls is object or cls.__module__.startswith(base)


def _function(member: Any) -> Any:
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    return member if isinstance(member, types.FunctionType) else None


def _parameters(member: Any) -> list[inspect.Parameter] | None:
    function = _function(member)
    if function is None:
        return None
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def refused(own: list[inspect.Parameter], base: list[inspect.Parameter]) -> str:
    """What *base* takes and *own* does not; empty where there is nothing."""
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own_positional = [parameter for parameter in own if parameter.kind in by_position]
    base_positional = [parameter for parameter in base if parameter.kind in by_position]
    own_names = {parameter.name for parameter in own}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in own)
    takes_any_name = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own)
    if len(own_positional) < len(base_positional) and not takes_any:
        lost = [parameter.name for parameter in base_positional[len(own_positional) :]]
        by_name = all(name in own_names or takes_any_name for name in lost)
        if not by_name:
            return f"it does not take {', '.join(lost)}"
    for parameter in base:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not (takes_any_name or parameter.name in own_names):
            return f"it does not take {parameter.name}="
    base_variadic = any(parameter.kind in _VARIADIC for parameter in base)
    asked = [p for p in own if p.default is inspect.Parameter.empty and p.kind not in _VARIADIC]
    given = [p for p in base if p.default is inspect.Parameter.empty and p.kind not in _VARIADIC]
    if len(asked) > len(given) and not base_variadic:
        return (
            f"it requires {', '.join(parameter.name for parameter in asked[len(given) :])}, which Django does not pass"
        )
    return ""


@requirement(
    "DJSIG-001",
    "Every method that overrides one of the installed Django's takes what that takes",
    reason="Django passes the new argument, and atomic() or a migration dies of a TypeError",
    source="Django, django/db/backends/base/",
    level=0,
    profile="django",
    advice="take the arguments that the installed Django's method takes, or *args and **kwargs",
)
def signatures(subject: DjangoSubject) -> None:
    found: list[tuple[Override, str]] = []
    for override in overrides(subject):
        own, base = _parameters(override.own), _parameters(override.djangos)
        if own is not None and base is not None:
            what = refused(own, base)
            if what and what not in _precedents(override, base):
                found.append((override, what))
    if found:
        override, what = found[0]
        more = f" (and {len(found) - 1} more: {', '.join(str(other) for other, _ in found[1:])})" if found[1:] else ""
        subject.fail(
            f"{override} overrides {override.base.__qualname__}'s, and {what}{more}", where=_place(override.own)
        )


def _precedents(override: Override, base: list[inspect.Parameter]) -> set[str]:
    """What Django's own sqlite3 refuses in the same method: where it can, Django does not call it so."""
    from django.db.backends.sqlite3.base import DatabaseWrapper

    found: set[str] = set()
    for cls in (DatabaseWrapper, *(getattr(DatabaseWrapper, name) for name in HELPERS)):
        for owner in cls.__mro__:
            theirs = _parameters(vars(owner).get(override.name))
            if theirs is not None and owner.__module__.startswith("django.db.backends.sqlite3."):
                found.add(refused(theirs, base))
    return found


@requirement(
    "DJSIG-002",
    "An override keeps the names of the optional arguments that it replaces",
    reason="Django passes most of them by name",
    source="Django, django/db/backends/base/",
    level=0,
    keyword="SHOULD",
    profile="django",
    after=("DJSIG-001",),
)
def names_of_optional_arguments(subject: DjangoSubject) -> None:
    for override in overrides(subject):
        own, base = _parameters(override.own), _parameters(override.djangos)
        if own is None or base is None or any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own):
            continue
        names = {parameter.name for parameter in own}
        for parameter in base:
            optional = parameter.default is not inspect.Parameter.empty and parameter.kind not in _VARIADIC
            if optional and parameter.name not in names and not _precedents(override, base) - {""}:
                subject.fail(f"{override} has no argument named {parameter.name}", where=_place(override.own))


@requirement(
    "DJSIG-003",
    "What is a method in Django is one in the engine, and what is a value is a value",
    reason="an attribute that Django has since taken for something else is called, or never is",
    source="Django, django/db/backends/base/base.py",
    level=0,
    profile="django",
    advice="give the engine's own attribute another name",
)
def kinds_of_members(subject: DjangoSubject) -> None:
    for override in overrides(subject):
        own, base = _kind(override.own), _kind(override.djangos)
        subject.require(
            own == base or {own, base} <= {"value", "property"},
            f"{override} is a {own}, and {override.base.__qualname__}'s is a {base}",
        )


def _kind(member: Any) -> str:
    if isinstance(member, property) or type(member).__name__ in {"cached_property", "classproperty"}:
        return "property"
    called = callable(member) and not isinstance(member, type)
    return "method" if called or _function(member) is not None else "value"


@requirement(
    "DJSIG-004",
    "No attribute that the engine sets on a wrapper takes the name of one of Django's methods or of its state",
    reason="a new name of Django's that collides silences it: TIME_ZONE or a role is never applied",
    source="Django, django/db/backends/base/base.py",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    advice="give the engine's own attribute another name",
)
def attributes_of_the_wrapper(subject: DjangoSubject) -> None:
    state = _initial_state(subject)
    wrapper = subject.wrapper()
    for moment in ("after it was made", "after its connection was opened", "after a query"):
        if moment != "after it was made":
            wrapper.ensure_connection()
        if moment == "after a query":
            subject.scalar(wrapper, "SELECT 1")
        for name, value in vars(wrapper).items():
            djangos = next((vars(cls)[name] for cls in _djangos_classes(wrapper) if name in vars(cls)), None)
            subject.require(
                not isinstance(djangos, types.FunctionType | property),
                f"{moment} the wrapper's attribute {name} hides Django's method of that name",
            )
            if name in state:
                subject.require(
                    isinstance(value, state[name]) or value is None,
                    f"{moment} the wrapper's {name} is a {type(value).__name__}, and Django keeps a "
                    f"{state[name].__name__} there",
                )


def _djangos_classes(wrapper: Any) -> list[type]:
    """Django's own engine that the author's is derived from, too: its names are as much in use as the base's."""
    return [cls for cls in type(wrapper).__mro__ if cls.__module__.startswith("django.")]


def _initial_state(subject: DjangoSubject) -> dict[str, type]:
    """The names that Django's own ``__init__`` sets, with the kinds of their values."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    none = {f"{name}_class": staticmethod(lambda _wrapper: None) for name in (
        "client", "creation", "features", "introspection", "ops", "validation",
    )}  # fmt: skip
    bare: Any = type("Bare", (BaseDatabaseWrapper,), none)
    made = bare(subject.alias_settings(), "default")
    kinds = {name: type(value) for name, value in vars(made).items() if isinstance(value, bool | int | list | dict)}
    return {name: int if kind is bool else kind for name, kind in kinds.items() if name != "_thread_ident"}


@requirement(
    "DJSIG-005",
    "The wrapper class has vendor, display_name, Database with the exceptions of PEP 249, and all helper classes",
    reason="Django translates every error by Database.<name>: a missing one is an AttributeError in place of the error",
    source="Django, DatabaseErrorWrapper",
    level=0,
    profile="django",
)
def what_the_class_names(subject: DjangoSubject) -> None:
    cls = subject.cls
    for name in ("vendor", "display_name"):
        value = getattr(cls, name, "unknown")
        if _kind(value) == "property":  # MariaDB's name is known only with a connection
            value = "a property"
        subject.require(isinstance(value, str) and value != "unknown", f"{name} is {value!r}")
    for name in HELPERS:
        subject.require(isinstance(getattr(cls, name, None), type), f"{name} is {getattr(cls, name, None)!r}")
    database = getattr(cls, "Database", None)
    subject.require(database is not None, "the class has no Database")
    for name in PEP_249:
        found = getattr(database, name, None)
        subject.require(
            isinstance(found, type) and issubclass(found, BaseException), f"Database.{name} is {found!r}, no exception"
        )


def _place(member: Any) -> str:
    function = _function(member)
    if function is None:
        return ""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
