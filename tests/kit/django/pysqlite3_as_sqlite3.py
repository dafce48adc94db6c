"""A bootstrap module: Django's spatialite needs a ``sqlite3`` that loads extensions, and not every Python's does."""

from __future__ import annotations

import sys
from importlib import import_module

for name in ("pysqlite3", "pysqlite3.dbapi2"):
    sys.modules[name.replace("pysqlite3", "sqlite3")] = import_module(name)
