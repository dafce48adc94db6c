"""From the name of an engine and the author's settings to a target: Django configured, the engine loaded."""

from __future__ import annotations

import copy
import importlib
import os
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend_sdk import ImproperlyConfigured

from .engine import Engine, is_stock
from .settings import completed, configure, in_one_line, loaded, set_up
from .subject import DjangoSubject
from .supports import with_the_drivers

__all__ = ["DjangoTarget", "load_target"]

_SYNTHETIC = "conformance_engine"


@dataclass(frozen=True)
class DjangoTarget(Engine):
    """The engine, as the machinery wants a target."""

    @property
    def base(self) -> Mapping[str, Any]:
        """The alias that is judged."""
        table: Mapping[str, Any] = self.settings["DATABASES"]["default"]
        return table

    def check_base(self, _workdir: Path, /) -> None:
        """`load_target` has checked them: Django had to be configured first."""

    def with_base(self, base: Mapping[str, Any]) -> DjangoTarget:
        aliases = {**self.settings["DATABASES"], "default": dict(base)}
        return replace(self, settings={**self.settings, "DATABASES": aliases})

    def subject(self, workdir: Path) -> DjangoSubject:
        return DjangoSubject(self, workdir)

    def stock(self) -> Iterator[tuple[str, DjangoTarget]]:
        """Django's engine that this one is derived from, with these OPTIONS and, should it refuse them, with none.

        For one that is derived from the base alone Django's sqlite3 stands in, in files of its own.
        """
        if self.engine.startswith("django."):
            return
        cls = next((cls for cls in self.cls.__mro__ if is_stock(cls)), None)
        if cls is None:
            yield self._base_alone()
            return
        name = f"{cls.__module__}.{cls.__qualname__}"
        stock = replace(self, name=name, engine=cls.__module__.removesuffix(".base"), cls=cls)
        yield name, stock
        yield name, stock.with_base({**self.base, "OPTIONS": {}})

    def _base_alone(self) -> tuple[str, DjangoTarget]:
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.sqlite3.base import DatabaseWrapper

        name = f"{BaseDatabaseWrapper.__module__}.{BaseDatabaseWrapper.__qualname__}"
        support, settings = with_the_drivers(None, DatabaseWrapper), completed({})
        return name, DjangoTarget(name, "django.db.backends.sqlite3", DatabaseWrapper, settings, support)


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
