"""A subclass of a reference backend takes settings that are a subclass of its settings."""

from backend_sdk import ConnectionSettings
from reference_backends.sqlite3 import SQLiteBackend


class MySettings(ConnectionSettings, frozen=True):
    shard: int = 0


class MyBackend(SQLiteBackend[MySettings]):  # error: [type-var] subtype of "SQLiteSettings"
    pass
