"""Engines for the tests, by the text of their ``base.py``; a folder on the path makes each an engine of its own."""

from __future__ import annotations

from pathlib import Path

TRIVIAL = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    pass
"""

AROUND_DJANGOS_OWN = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = 0

    def connect(self):
        super().connect()

    def ensure_connection(self):
        super().ensure_connection()

    def _cursor(self, name=None):
        self.asked += 1
        return super()._cursor(name)
"""

FROM_THE_BASE_ALONE = """
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

taken = {
    name: member for name, member in vars(SQLite).items() if name not in {"__module__", "__qualname__", "__doc__"}
}
Middle = type("Middle", (BaseDatabaseWrapper,), {**taken, "__module__": __name__})


class DatabaseWrapper(Middle):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)

    def ensure_connection(self):
        super().ensure_connection()
"""

INITIALIZES_BADLY = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def connect(self):
        try:
            super().connect()
        except BaseException:
            self.connection.close()
            raise
"""

KEEPS_A_METHOD_OF_ITS_OWN = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.hook = self.get_connection_params
"""

KEEPS_A_METHOD_LATER = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def get_new_connection(self, conn_params):
        self.hook = self.get_connection_params
        return super().get_new_connection(conn_params)
"""

OPENS_BEFORE_IT_LOOKS = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def close(self):
        self.ensure_connection()
        super().close()

    def ensure_connection(self):
        super().ensure_connection()
"""

WITHOUT_TRANSACTIONS = """
from django.db.backends.sqlite3.base import DatabaseFeatures as Features, DatabaseWrapper as SQLite


class DatabaseFeatures(Features):
    supports_transactions = False
    uses_savepoints = False


class DatabaseWrapper(SQLite):
    features_class = DatabaseFeatures

    def _start_transaction_under_autocommit(self):
        pass

    def _savepoint_allowed(self):
        return False

    def _set_autocommit(self, autocommit):
        self.connection.isolation_level = None
"""

INITIALIZES_PER_QUERY = """
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite


class DatabaseWrapper(SQLite):
    def create_cursor(self, name=None):
        self.connection.execute("PRAGMA foreign_keys = ON").close()
        return super().create_cursor(name)
"""

READS_ITS_SURROUNDINGS = """
import os

from django.apps import apps
from django.conf import settings
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

import surroundings_bootstrap


class DatabaseWrapper(SQLite):
    def get_connection_params(self):
        assert os.environ["ENGINE_HOME"] == "there", os.environ
        assert apps.is_installed("django.contrib.contenttypes")
        assert settings.TIME_ZONE == "Asia/Tokyo" and settings.MY_ENGINE_FLAG == 7
        assert surroundings_bootstrap.SEEN == "Asia/Tokyo"
        assert connections[self.alias].alias == self.alias
        assert set(connections.settings) == {"default", "other", "third"}, connections.settings
        return super().get_connection_params()
"""


def engine(folder: Path, name: str, base: str) -> str:
    """The target of an engine *name* that is made in *folder*, which must be on the path."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(base)
    return f"django:{name}"
