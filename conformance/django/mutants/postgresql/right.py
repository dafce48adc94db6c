"""Right engines: Django's postgresql, alone and with its own pool. The wrong ones are these with one defect."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from typing_extensions import override

from conformance.django.supports import PostgreSQLSupport

__all__ = ["BaseWrapper", "DatabaseWrapper", "PooledWrapper", "PostgreSQLWrapper", "driver"]

PostgreSQLWrapper: Any = import_module("django.db.backends.postgresql.base").DatabaseWrapper
BaseWrapper: Any = import_module("django.db.backends.base.base").BaseDatabaseWrapper
driver: Any = import_module("psycopg")


class DatabaseWrapper(PostgreSQLWrapper):
    connection: Any
    settings_dict: dict[str, Any]


class PoolSupport(PostgreSQLSupport):
    """Every database comes with a small pool in its options."""

    pool: ClassVar[dict[str, Any]] = {"min_size": 1, "max_size": 4, "timeout": 1.0}

    def __init__(self) -> None:
        super().__init__(driver)

    @override
    def given_options(self, mapping: Any) -> dict[str, Any]:
        return {**super().given_options(mapping), "pool": dict(self.pool)}


class PooledWrapper(DatabaseWrapper):
    test_support = PoolSupport
