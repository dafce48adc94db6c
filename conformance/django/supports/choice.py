"""Which support an engine gets, beside its author's."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from .mysql import MySQLSupport
from .postgresql import PostgreSQLSupport, Preparation
from .sqlite import SQLiteEngineSupport

__all__ = ["driver_of", "support_of", "with_the_drivers"]


def support_of(cls: type[Any]) -> object:
    """The support for an engine's wrapper class; None where the kit knows nothing of its database."""
    driver = driver_of(cls)
    if getattr(driver, "sqlite_version", None):
        return SQLiteEngineSupport(driver)
    if not callable(getattr(driver, "connect", None)):
        return None
    if cls.vendor == "postgresql":
        return PostgreSQLSupport(driver, _preparation(cls))
    return MySQLSupport(driver) if cls.vendor == "mysql" else None


def driver_of(cls: type[Any]) -> Any:
    """The driver's own module, where ``Database`` is an object around it: a pool's would lease to the witness too."""
    database = getattr(cls, "Database", None)
    path = getattr(getattr(database, "Error", None), "__module__", "").split(".")
    if isinstance(database, types.ModuleType) or not all(path):
        return database
    outward = (sys.modules.get(".".join(path[:end])) for end in range(len(path), 0, -1))
    return next((module for module in outward if callable(getattr(module, "connect", None))), database)


def _preparation(cls: type[Any]) -> Preparation | None:
    """What Django does to a new database before it migrates it, where the engine has anything to do (PostGIS)."""
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper

    if cls.prepare_database is BaseDatabaseWrapper.prepare_database:
        return None

    def prepare(mapping: Mapping[str, Any]) -> None:
        table = {"ENGINE": "django.db.backends.dummy", **mapping, "OPTIONS": {}}
        wrapper = cls(connections.configure_settings({"default": table})["default"], "default")
        with closing(wrapper):
            wrapper.prepare_database()

    return prepare


def with_the_drivers(support: object, cls: type[Any]) -> object:
    """The author's *support*, and what it has not got the kit's own for the driver."""
    kits = support_of(cls)
    return Layered(support, kits) if support is not None and kits is not None else support or kits


class Layered:
    """An author who adds a method need not repeat the others."""

    def __init__(self, first: object, second: object) -> None:
        self._layers = (first, second)

    def __getattr__(self, name: str) -> Any:
        first, second = self._layers
        return getattr(first if hasattr(first, name) else second, name)
