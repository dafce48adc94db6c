"""Backends of a few lines for drivers that nobody here wrote, by each means that the generic backend has.

On sqlite3 they keep one warning, CLOSE-013: a statement that is half read holds its lock until its cursor goes, and
PEP 249 has no word for ending it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from typing_extensions import override

from backend_sdk import SupportsTransactionalDDL
from reference_backends.dbapi import DBAPIBackend, DBAPISettings


class PlainConnection(sqlite3.Connection):
    """As PEP 249 asks for and no more: it begins by itself, and has no switch (3.12's is hidden)."""

    @property
    def autocommit(self) -> NoReturn:
        raise AttributeError("autocommit")


class PlainBackend(DBAPIBackend[DBAPISettings, sqlite3.Connection, sqlite3.Cursor], module="sqlite3"):
    """Implicit transactions."""

    arguments: ClassVar[Mapping[str, str]] = {"name": "database"}
    test_support = "conformance.supports.sqlite:SQLiteSupport"

    @override
    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "check_same_thread": False, "factory": PlainConnection}


class WordsBackend(
    SupportsTransactionalDDL,
    DBAPIBackend[DBAPISettings, sqlite3.Connection, sqlite3.Cursor],
    module="sqlite3",
):
    """A begin statement."""

    begin_statement = "BEGIN"
    arguments: ClassVar[Mapping[str, str]] = {"name": "database"}
    test_support = "conformance.supports.sqlite:SQLiteSupport"

    @override
    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "check_same_thread": False, "isolation_level": None}

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True


class PyMySQLBackend(DBAPIBackend[DBAPISettings, Any, Any], module="pymysql"):
    """A switch that is a method."""

    test_support = "conformance.supports.mysql:MySQLSupport"
