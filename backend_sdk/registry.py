"""From an engine name to the backend class: registered, entry point, module path or class path."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from ._explain import nearest
from .backend import missing_members
from .errors import ImproperlyConfigured, UnknownEngineError
from .settings import ConnectionSettings
from .urls import parse_url

if TYPE_CHECKING:
    from types import ModuleType

    from .protocols import Backend

__all__ = ["ENTRY_POINT_GROUP", "engine_names", "load_backend_class", "make_backend", "register", "settings_class_of"]

ENTRY_POINT_GROUP = "backend_sdk.backends"

_registered: dict[str, type | str] = {}


def register(name: str, backend: type | str) -> None:
    """Make *name* an engine name in this process; *backend* is a class or ``module:Class``.

    A distribution does it for every process, by an entry point of the group ``backend_sdk.backends``.
    """
    _registered[name] = backend


def engine_names() -> dict[str, str]:
    """Every engine name known here, with what it stands for."""
    found = {point.name: _path_of(point) for point in entry_points(group=ENTRY_POINT_GROUP)}
    found.update(
        {name: value if isinstance(value, str) else value.__qualname__ for name, value in _registered.copy().items()}
    )
    return dict(sorted(found.items()))


def load_backend_class(engine: str) -> type[Backend[Any, Any, Any]]:
    """The class for *engine*: a registered name, ``module:Class``, ``package.module.Class`` or a module with one.

    Raises `UnknownEngineError`, and lets an error inside the module's own import through.
    """
    if "://" in engine:  # it may hold a password, and what follows repeats the name
        raise UnknownEngineError("the engine is given as a database URL; give the whole URL in place of the settings")
    target = _registered.get(engine)
    if target is None:
        target = _from_entry_points(engine) or engine
    cls = target if isinstance(target, type) else _load_path(target, engine)
    missing = _missing(cls)
    if missing:
        raise UnknownEngineError(
            f"engine {engine!r}: {cls.__qualname__} is not a backend: it lacks {', '.join(missing)}"
        )
    return cast("type[Backend[Any, Any, Any]]", cls)


def _missing(cls: type) -> list[str]:
    """What *cls* lacks or leaves abstract. ``settings`` may be an attribute that only its instances have."""
    abstract: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
    lacking = [name for name in missing_members(cls) if name != "settings"]
    return lacking + sorted(abstract)


def _path_of(point: EntryPoint) -> str:
    return f"{point.module}:{point.attr}" if point.attr else point.module  # without the extras that may follow


def _from_entry_points(name: str) -> str | None:
    values = {_path_of(point) for point in entry_points(group=ENTRY_POINT_GROUP, name=name)}
    if len(values) > 1:
        raise UnknownEngineError(
            f"engine {name!r} is registered more than once: {', '.join(sorted(values))}; name the class itself instead"
        )
    return next(iter(values), None)


def _load_path(path: str, engine: str) -> type:
    module_path, colon, class_name = path.partition(":")
    plain = all(part.isidentifier() for part in path.replace(":", ".", 1).split("."))
    if plain and colon:
        return _class_in(_import(module_path, engine), class_name, engine)
    if not plain or ("." not in path and not _exists(path)):
        raise UnknownEngineError(f"unknown engine {engine!r}; {_suggest(engine)}")
    if _exists(path):
        return _only_backend(_import(path, engine), engine)
    module_path, _, class_name = path.rpartition(".")
    return _class_in(_import(module_path, engine), class_name, engine)


def _suggest(engine: str) -> str:
    """The nearest engine name; of a path (another framework's, say) its last part counts."""
    return nearest(engine.rpartition(".")[2], engine_names())


def _exists(module_path: str) -> bool:
    try:
        return importlib.util.find_spec(module_path) is not None
    except (ImportError, ValueError):  # a parent that is not there, or not a package
        return False


def _import(module_path: str, engine: str) -> ModuleType:
    try:
        return importlib.import_module(module_path)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_path + ".").startswith(error.name + "."):
            raise  # something that the author's module imports: his error, as it is
        raise UnknownEngineError(f"engine {engine!r}: there is no module {error.name!r}; {_suggest(engine)}") from None


def _class_in(module: ModuleType, name: str, engine: str) -> type:
    found = getattr(module, name, None)
    if not isinstance(found, type):
        known = [cls.__name__ for cls in _backends_in(module)]
        hint = nearest(name, known) if known else "it defines no backend class"
        raise UnknownEngineError(f"engine {engine!r}: no class {name!r} in module {module.__name__!r}; {hint}")
    return found


def _only_backend(module: ModuleType, engine: str) -> type:
    found = _backends_in(module)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownEngineError(
            f"engine {engine!r}: the module defines no backend class; write it as module:Class ({_suggest(engine)})"
        )
    names = ", ".join(cls.__name__ for cls in found)
    raise UnknownEngineError(
        f"engine {engine!r}: the module defines several backends ({names}); write it as module:Class"
    )


def _backends_in(module: ModuleType) -> list[type]:
    """The concrete backend classes that *module* itself defines; of a class and its subclasses, the most derived."""
    own = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == module.__name__ and not _missing(cls)
    ]
    concrete = list(dict.fromkeys(own))
    return [cls for cls in concrete if not any(other is not cls and issubclass(other, cls) for other in concrete)]


def settings_class_of(cls: type) -> type[ConnectionSettings]:
    """The settings class that *cls* is made from: its ``settings_class``, else its ``__init__``'s annotation."""
    declared = getattr(cls, "settings_class", None)
    if isinstance(declared, type) and issubclass(declared, ConnectionSettings):
        return declared
    try:
        hints = get_type_hints(getattr(cls, "__init__"))  # noqa: B009 - a class, not an instance
    except (AttributeError, NameError, TypeError) as error:  # imported for type checkers only, as a rule
        raise ImproperlyConfigured(
            f"cannot tell the settings class of {cls.__qualname__}, since an annotation of its __init__ cannot be "
            f"evaluated ({error}); import the name at run time, or set settings_class on the class"
        ) from None
    hints.pop("return", None)
    for hint in hints.values():
        if isinstance(hint, type) and issubclass(hint, ConnectionSettings):
            return hint
    return ConnectionSettings


def make_backend(
    source: Mapping[str, object] | str | ConnectionSettings, *, alias: str = "default"
) -> Backend[Any, Any, Any]:
    """A backend from an alias mapping (Django's form), a URL, or settings; the ENGINE decides on the class.

    Raises `ImproperlyConfigured`. *source* is read, never kept or changed.
    """
    if isinstance(source, ConnectionSettings):
        cls = _class_for(source.engine, alias)
        wanted = settings_class_of(cls)
        if not isinstance(source, wanted):
            raise ImproperlyConfigured(
                f"settings of {alias!r}: engine {source.engine!r} takes {wanted.__name__}, not {type(source).__name__}"
            )
        return _instance(cls, source, alias)
    if not isinstance(source, Mapping | str):
        raise ImproperlyConfigured(
            f"settings of {alias!r}: give a mapping with ENGINE and NAME, a URL or settings; "
            f"this is a {type(source).__name__}"
        )
    mapping = parse_url(source, alias=alias) if isinstance(source, str) else dict(source)
    cls = _class_for(mapping.get("ENGINE"), alias)
    return _instance(cls, settings_class_of(cls).from_mapping(mapping, alias=alias), alias)


def _class_for(engine: object, alias: str) -> type[Backend[Any, Any, Any]]:
    if not isinstance(engine, str) or not engine:
        raise ImproperlyConfigured(
            f"settings of {alias!r}: ENGINE is missing, or no text; give an engine name, module or module:Class"
        )
    try:
        return load_backend_class(engine)
    except UnknownEngineError as error:
        raise UnknownEngineError(f"settings of {alias!r}: {error}") from None


def _instance(cls: type[Backend[Any, Any, Any]], settings: ConnectionSettings, alias: str) -> Backend[Any, Any, Any]:
    try:
        return cast("Any", cls)(settings)  # type: ignore[no-any-return]  # a backend is made from its settings alone
    except ImproperlyConfigured as error:
        raise type(error)(f"settings of {alias!r}: {error}") from error.__cause__
