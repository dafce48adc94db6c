"""What the engines' authors would tell the kit: of their driver, and of their pool's options."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NoReturn

from conformance.django.supports import PostgreSQLSupport
from conformance.verdict import NotApplicable

__all__ = ["DBConnectionPoolSupport", "MySQLGeventPoolSupport", "PG8000Support", "WithoutLifetime"]


class PG8000Support(PostgreSQLSupport):
    """The witness is psycopg's: pg8000 has other names for its connect arguments, and tells no session's number."""

    def __init__(self) -> None:
        super().__init__(import_module("psycopg"))

    def terminate(self, mapping: Mapping[str, Any], connection: Any) -> None:
        ((session,),) = connection._con.run("SELECT pg_backend_pid()")
        self.scalar(mapping, f"SELECT pg_terminate_backend({session}, 5000)")


class DBConnectionPoolSupport:
    def expired_pool(self, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"POOL_OPTIONS": {**mapping["POOL_OPTIONS"], "RECYCLE": 0}}


class MySQLGeventPoolSupport:
    def expired_pool(self, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"OPTIONS": {**mapping["OPTIONS"], "MAX_CONNS": 1, "MAX_LIFETIME": 0.000001}}


class WithoutLifetime:
    def expired_pool(self, _mapping: Mapping[str, Any]) -> NoReturn:
        raise NotApplicable("the pool has no maximum lifetime")
