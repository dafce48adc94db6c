"""SpatiaLite: the SQLite backend with an extension. Shows how a reference backend is subclassed."""

from __future__ import annotations

import sqlite3

from pydantic import Field
from typing_extensions import override

from backend_sdk import ImproperlyConfigured

from .sqlite3 import SQLiteBackend, SQLiteOptions, SQLiteSettings

__all__ = ["SpatiaLiteBackend", "SpatiaLiteOptions", "SpatiaLiteSettings"]


class SpatiaLiteOptions(SQLiteOptions, frozen=True):
    """``library``: the extension's name or path. ``driver="pysqlite3"`` where Python's own loads no extensions."""

    library: str = Field(default="mod_spatialite", min_length=1)


class SpatiaLiteSettings(SQLiteSettings, frozen=True):
    """As SQLite's. The tables of spatial metadata are the application's: ``SELECT InitSpatialMetaData(1)``."""

    engine: str = "spatialite"
    options: SpatiaLiteOptions = SpatiaLiteOptions()


class SpatiaLiteBackend(SQLiteBackend[SpatiaLiteSettings]):
    """SQLite with SpatiaLite's functions in every connection."""

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        super().configure_connection(connection)
        options = self.settings.options
        if not hasattr(connection, "enable_load_extension"):
            raise ImproperlyConfigured(
                f"the sqlite3 module of this Python ({options.driver}) was built without loadable extensions, which "
                "SpatiaLite needs: pip install pysqlite3-binary and set OPTIONS driver to 'pysqlite3'"
            )
        connection.enable_load_extension(True)
        try:
            connection.load_extension(options.library)
        except self.driver_errors.Error as error:
            raise ImproperlyConfigured(
                f"SpatiaLite's library {options.library!r} cannot be loaded ({error}): install mod_spatialite (Debian: "
                "libsqlite3-mod-spatialite) or give its path as OPTIONS library"
            ) from error
        finally:
            connection.enable_load_extension(False)
