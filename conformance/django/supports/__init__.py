"""What the kit has to know of SQLite, PostgreSQL and MySQL under a Django engine, by the engine's own driver.

The supports for backends of the SDK bring a driver along; an engine has one already, and two copies of a client
library in one process are not always safe (SQLite's locks are not). So these take the engine's ``Database``.
"""

from __future__ import annotations

from .choice import driver_of, support_of, with_the_drivers
from .mysql import MySQLSupport
from .postgresql import PostgreSQLSupport
from .sqlite import SQLiteEngineSupport

__all__ = ["MySQLSupport", "PostgreSQLSupport", "SQLiteEngineSupport", "driver_of", "support_of", "with_the_drivers"]
