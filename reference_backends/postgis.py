"""PostGIS: the PostgreSQL backend with an extension. Shows how a reference backend is subclassed."""

from __future__ import annotations

from typing import Generic

import psycopg
from psycopg.rows import TupleRow, tuple_row
from typing_extensions import TypeVar, override

from backend_sdk import ImproperlyConfigured, SupportsConfigure

from .postgresql import PostgreSQLBackend, PostgreSQLOptions, PostgreSQLSettings

__all__ = ["PostGISBackend", "PostGISOptions", "PostGISSettings"]


class PostGISOptions(PostgreSQLOptions, frozen=True):
    """``create_extension`` creates it where it is missing, which takes a role that may."""

    create_extension: bool = False


class PostGISSettings(PostgreSQLSettings, frozen=True):
    """As PostgreSQL's."""

    engine: str = "postgis"
    options: PostGISOptions = PostGISOptions()


_FIND = "SELECT FROM pg_extension WHERE extname = 'postgis'"

SettingsT = TypeVar("SettingsT", bound=PostGISSettings, default=PostGISSettings)
RowT = TypeVar("RowT", default=TupleRow)


class PostGISBackend(
    SupportsConfigure[psycopg.Connection[RowT]], PostgreSQLBackend[SettingsT, RowT], Generic[SettingsT, RowT]
):
    """PostgreSQL whose database is known to have PostGIS."""

    @override
    def configure_connection(self, connection: psycopg.Connection[RowT], /) -> None:
        # Autocommit is not set yet, so a transaction is begun here and must be ended here.
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_FIND).rowcount == 1
            if not found and self.settings.options.create_extension:
                # IF NOT EXISTS still fails where two sessions create it at once: they take turns.
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('postgis'))")
                cursor.execute("CREATE EXTENSION IF NOT EXISTS postgis")
                found = True
        if not found:
            raise ImproperlyConfigured(
                f"database {connection.info.dbname!r} has no PostGIS: install it at the server (Debian: postgresql-NN-"
                "postgis-3), then CREATE EXTENSION postgis there, or set OPTIONS create_extension"
            )
