"""Django's own classes, by name: typed as anything, since Django has no types, and imported only with a target."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["BaseWrapper", "CursorWrapper", "Database", "SQLiteFeatures", "SQLiteOperations", "SQLiteSchemaEditor",
           "SQLiteWrapper", "utils"]  # fmt: skip

SQLiteWrapper: Any = import_module("django.db.backends.sqlite3.base").DatabaseWrapper
BaseWrapper: Any = import_module("django.db.backends.base.base").BaseDatabaseWrapper
CursorWrapper: Any = import_module("django.db.backends.utils").CursorWrapper
Database: Any = SQLiteWrapper.Database
SQLiteFeatures: Any = SQLiteWrapper.features_class
SQLiteOperations: Any = SQLiteWrapper.ops_class
SQLiteSchemaEditor: Any = SQLiteWrapper.SchemaEditorClass
utils: Any = import_module("django.db.utils")
