"""From an engine name to the backend class: registered, entry point, module path or class path."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from ._explain import nearest
from .backend import missing_members
from .errors import ImproperlyConfigured, UnknownEngineError
from .settings import ConnectionSettings
from .urls import parse_url

if TYPE_CHECKING:
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
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    found.update({name: value if isinstance(value, str) else value.__qualname__ for name, value in _registered.items()})
    return dict(sorted(found.items()))


def load_backend_class(engine: str) -> type[Backend[Any, Any, Any]]:
    """The class for *engine*: a registered name, ``module:Class``, ``package.module.Class`` or a module with one.

    Raises `UnknownEngineError`, and lets an error inside the module's own import through.
    """
    target = _registered.get(engine)
    if target is None:
        target = _from_entry_points(engine) or engine
    cls = target if isinstance(target, type) else _load_path(target, engine)
    missing = missing_members(cls)
    if missing:
        raise UnknownEngineError(
            f"engine {engine!r}: {cls.__qualname__} is not a backend: it lacks {', '.join(missing)}"
        )
    return cast("type[Backend[Any, Any, Any]]", cls)


def _from_entry_points(name: str) -> str | None:
    values = {point.value for point in entry_points(group=ENTRY_POINT_GROUP, name=name)}
    if len(values) > 1:
        raise UnknownEngineError(
            f"engine {name!r} is registered more than once: {', '.join(sorted(values))}; name the class itself instead"
        )
    return next(iter(values), None)


def _load_path(path: str, engine: str) -> type:
    module_path, colon, class_name = path.partition(":")
    if colon:
        return _class_in(_import(module_path, engine), class_name, engine)
    if "." not in path and not _exists(path):
        raise UnknownEngineError(f"unknown engine {engine!r}; {nearest(engine, engine_names())}")
    if _exists(path):
        return _only_backend(_import(path, engine), engine)
    module_path, _, class_name = path.rpartition(".")
    return _class_in(_import(module_path, engine), class_name, engine)


def _exists(module_path: str) -> bool:
    try:
        return importlib.util.find_spec(module_path) is not None
    except (ImportError, ValueError):  # a parent that is not there, or not a package
        return False


def _import(module_path: str, engine: str) -> object:
    try:
        return importlib.import_module(module_path)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_path + ".").startswith(error.name + "."):
            raise  # something that the author's module imports: his error, as it is
        raise UnknownEngineError(
            f"engine {engine!r}: there is no module {error.name!r}; {nearest(engine, engine_names())}"
        ) from None


def _class_in(module: object, name: str, engine: str) -> type:
    found = getattr(module, name, None)
    if not isinstance(found, type):
        known = [cls.__name__ for cls in _backends_in(module)]
        raise UnknownEngineError(f"engine {engine!r}: no class {name!r} there; {nearest(name, known)}")
    return found


def _only_backend(module: object, engine: str) -> type:
    found = _backends_in(module)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownEngineError(f"engine {engine!r}: the module defines no backend class; write it as module:Class")
    names = ", ".join(cls.__name__ for cls in found)
    raise UnknownEngineError(
        f"engine {engine!r}: the module defines several backends ({names}); write it as module:Class"
    )


def _backends_in(module: object) -> list[type]:
    """The concrete backend classes that *module* itself defines; of a class and its subclasses, the most derived."""
    own = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == getattr(module, "__name__", None) and not missing_members(cls)
    ]
    concrete = [cls for cls in dict.fromkeys(own) if not inspect.isabstract(cls)]
    return [cls for cls in concrete if not any(other is not cls and issubclass(other, cls) for other in concrete)]


def settings_class_of(cls: type) -> type[ConnectionSettings]:
    """The settings class that *cls* is made from: its ``settings_class``, else its ``__init__``'s annotation."""
    declared = getattr(cls, "settings_class", None)
    if isinstance(declared, type) and issubclass(declared, ConnectionSettings):
        return declared
    try:
        hints = get_type_hints(getattr(cls, "__init__"))  # noqa: B009 - a class, not an instance
    except (NameError, TypeError):
        hints = {}
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
        return _instance(load_backend_class(_engine_of(source.engine, alias)), source)
    mapping = dict(parse_url(source) if isinstance(source, str) else source)
    cls = load_backend_class(_engine_of(mapping.get("ENGINE"), alias))
    return _instance(cls, settings_class_of(cls).from_mapping(mapping, alias=alias))


def _engine_of(value: object, alias: str) -> str:
    if not isinstance(value, str) or not value:
        raise ImproperlyConfigured(
            f"settings of {alias!r}: ENGINE is missing; give an engine name, module or module:Class"
        )
    return value


def _instance(cls: type[Backend[Any, Any, Any]], settings: ConnectionSettings) -> Backend[Any, Any, Any]:
    return cast("Any", cls)(settings)  # type: ignore[no-any-return]  # a backend is made from its settings alone
