"""pg8000, a driver for PostgreSQL, from the generic PEP 249 backend: what the standard leaves open is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from backend_sdk import SQLSavepoints, SupportsTransactionalDDL
from reference_backends.dbapi import DBAPIBackend, DBAPIConnection, DBAPISettings


class PG8000Backend(
    SupportsTransactionalDDL,
    SQLSavepoints[DBAPIConnection[Any]],
    DBAPIBackend[DBAPISettings, Any, Any],
    module="pg8000.dbapi",
    vendor="postgresql",
):
    obeyed = frozenset({"time_zone"})
    test_support = "conformance.supports.pg8000:PG8000Support"

    @property
    @override
    def transactional_ddl(self) -> bool:
        return True

    @override
    def init_connection_state(self, connection: DBAPIConnection[Any], /) -> None:
        """The time zone; committed, so that it stays after a rollback, where autocommit is off."""
        if self.settings.time_zone is not None:
            cursor = self.driver_cursor(connection.driver)
            cursor.execute("SELECT set_config('TimeZone', %s, false)", (self.settings.time_zone,))
            cursor.close()
            connection.commit()

    @override
    def sqlstate(self, error: BaseException, /) -> str | None:
        """pg8000 raises DatabaseError for whatever the server reports, with the report's fields as a mapping."""
        fields = error.args[0] if error.args else None
        return fields.get("C") if isinstance(fields, Mapping) else None
