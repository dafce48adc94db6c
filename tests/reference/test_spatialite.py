"""The SpatiaLite backend: SQLite's own, with the extension in each connection."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend_sdk import DatabaseWrapper, ImproperlyConfigured, OperationalError, settings_class_of
from reference_backends.spatialite import SpatiaLiteBackend, SpatiaLiteSettings
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor

Wrapper = DatabaseWrapper[sqlite3.Connection, SQLiteCursor]
POINT = "SELECT AsText(MakePoint(1, 2))"


def driver_that_loads() -> str:
    """A driver that loads extensions, Python's own if it does. Skips where there is none, or no SpatiaLite."""
    folders = [Path("/usr/lib"), Path("/usr/local/lib"), Path("/opt/homebrew/lib")]
    libraries = [
        path for folder in folders for path in [*folder.glob("mod_spatialite*"), *folder.glob("*/mod_spatialite*")]
    ]
    if not libraries:
        missing("no SpatiaLite here: make services")
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return "sqlite3"
    pytest.importorskip("pysqlite3", reason="Python's sqlite3 loads no extensions and pysqlite3 is not installed")
    return "pysqlite3"


def missing(reason: str) -> None:
    if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def make() -> Iterator[Callable[..., Wrapper]]:
    made: list[Wrapper] = []

    def make(name: str = ":memory:", **options: object) -> Wrapper:
        settings = SpatiaLiteSettings.from_mapping(
            {"NAME": name, "OPTIONS": {"driver": driver_that_loads(), **options}}
        )
        made.append(DatabaseWrapper(SpatiaLiteBackend(settings)))
        return made[-1]

    yield make
    for wrapper in made:
        wrapper.close()


def test_every_connection_has_the_functions(make: Callable[..., Wrapper]) -> None:
    wrapper = make()
    for _ in range(2):
        assert wrapper.cursor().execute(POINT).fetchone() == ("POINT(1 2)",)
        wrapper.close()


def test_functions_survive_a_reset(make: Callable[..., Wrapper]) -> None:
    wrapper = make()
    wrapper.backend.reset(wrapper.connection)
    wrapper.backend.init_connection_state(wrapper.connection)
    assert wrapper.cursor().execute(POINT).fetchone() == ("POINT(1 2)",)


def test_statements_may_not_load_extensions_of_their_own(make: Callable[..., Wrapper]) -> None:
    with pytest.raises(OperationalError, match="not authorized"):
        make().cursor().execute("SELECT load_extension('mod_spatialite')")


def test_what_the_parent_can_is_kept(make: Callable[..., Wrapper], tmp_path: Path) -> None:
    wrapper = make(str(tmp_path / "places.db"), journal_mode="wal")
    assert wrapper.cursor().execute("PRAGMA journal_mode").fetchone() == ("wal",)
    wrapper.cursor().execute("SELECT InitSpatialMetaData(1)")
    with wrapper.atomic():
        wrapper.cursor().execute("CREATE TABLE place (name text)")
        wrapper.cursor().execute("SELECT AddGeometryColumn('place', 'at', 4326, 'POINT', 'XY')")
    assert wrapper.cursor().execute("SELECT count(*) FROM geometry_columns").fetchone() == (1,)
    assert wrapper.backend.abilities == SQLiteBackend.__new__(SQLiteBackend).abilities
    assert wrapper.vendor == SQLiteBackend.vendor


def test_missing_library_is_one_clear_error_and_leaves_nothing_open(make: Callable[..., Wrapper]) -> None:
    wrapper = make(library="no_such_library")
    with pytest.raises(ImproperlyConfigured, match=r"'no_such_library' cannot be loaded .*libsqlite3-mod-spatialite"):
        wrapper.connect()
    assert not wrapper.is_open


def test_driver_without_extensions_is_one_clear_error_that_says_what_to_install() -> None:
    # In a process of its own: a module that stands for a sqlite3 built without them.
    code = """
import sqlite3, sys, types
class Connection(sqlite3.Connection):
    def __getattribute__(self, name):
        if name == "enable_load_extension":
            raise AttributeError(name)
        return super().__getattribute__(name)
driver = types.ModuleType("plain")
driver.__dict__.update({name: getattr(sqlite3, name) for name in dir(sqlite3) if not name.startswith("__")})
driver.connect = lambda *args, **options: sqlite3.connect(*args, factory=Connection, **options)
sys.modules["plain"] = driver
del driver.dbapi2
from backend_sdk import DatabaseWrapper, make_backend
DatabaseWrapper(make_backend(
    {"ENGINE": "reference_backends.spatialite", "NAME": ":memory:", "OPTIONS": {"driver": "plain"}}
)).connect()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("backend_sdk.errors.ImproperlyConfigured")
    assert "pip install pysqlite3-binary and set OPTIONS driver to 'pysqlite3'" in last


def test_settings_class_is_its_own() -> None:
    assert settings_class_of(SpatiaLiteBackend) is SpatiaLiteSettings
