"""No false alarms on what published engines do rightly, or in a way of their own; and one finding for one defect."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from conformance import Report, Verdict, check

from . import engines

pytestmark = pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed")

SQLITE = "from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite\n\n"

TRUSTS_ITS_FILE = (
    SQLITE
    + """
class DatabaseWrapper(SQLite):
    def is_usable(self):
        return True
"""
)

GIVES_BACK_AT_EACH_REQUESTS_END = """
from conformance.django.mutants.pooled import DatabaseWrapper as Pooled


class DatabaseWrapper(Pooled):
    def close_if_unusable_or_obsolete(self):
        self.close()

    def is_fit(self, connection):
        try:
            connection.execute("SELECT 1").close()
        except self.Database.Error:
            return False
        return super().is_fit(connection)
"""

OPENS_BEFOREHAND = """
from conformance.django.mutants.pooled import DatabaseWrapper as Pooled


class DatabaseWrapper(Pooled):
    leases = 0

    def from_idle(self):
        DatabaseWrapper.leases += 1
        if DatabaseWrapper.leases == 3:
            self.lease.idle[:0] = [self.open(self.get_connection_params()) for _ in range(3)]
        return super().from_idle()
"""

WRITES_ITS_SETTINGS = (
    SQLITE
    + """
class DatabaseWrapper(SQLite):
    def __init__(self, settings_dict, *args, **kwargs):
        settings_dict["SCHEMA"] = "public"
        super().__init__(settings_dict, *args, **kwargs)
"""
)

POPS_AN_OPTION = (
    SQLITE
    + """
class DatabaseWrapper(SQLite):
    def __init__(self, settings_dict, *args, **kwargs):
        settings_dict["OPTIONS"].pop("max_conns", None)
        super().__init__(settings_dict, *args, **kwargs)
"""
)

POOLS_AT_THE_DRIVER = (
    SQLITE
    + """
class Leasing:
    # A pool in the driver's place: its connections are for its wrappers.
    def __init__(self, driver):
        self.driver = driver

    def __getattr__(self, name):
        return getattr(self.driver, name)

    def connect(self, *args, **kwargs):
        raise AssertionError("a stranger asks for a lease")


class DatabaseWrapper(SQLite):
    Database = Leasing(SQLite.Database)
"""
)

CURSORS_OF_ITS_OWN = (
    SQLITE
    + """
class Connection:
    def __init__(self, connection):
        vars(self)["connection"] = connection

    def __getattr__(self, name):
        if name == "cursor":
            raise AttributeError(name)
        return getattr(self.connection, name)

    def __setattr__(self, name, value):
        setattr(self.connection, name, value)


class DatabaseWrapper(SQLite):
    def get_new_connection(self, conn_params):
        return Connection(super().get_new_connection(conn_params))

    def create_cursor(self, name=None):
        from django.db.backends.sqlite3.base import SQLiteCursorWrapper

        return self.connection.connection.cursor(factory=SQLiteCursorWrapper)
"""
)

TOUCHY = (
    SQLITE
    + """
class Lease:
    def __init__(self):
        self.connection = None

    def __getattr__(self, name):
        raise RuntimeError("this lease has ended")


ENDED = Lease()


class DatabaseWrapper(SQLite):
    pass
"""
)

CANNOT_END_SESSIONS = """
from conformance.django.mutants.right import DatabaseWrapper as Right, LosableSessions


class Support(LosableSessions):
    def terminate(self, mapping, connection):
        raise OSError("no right to end sessions")


class DatabaseWrapper(Right):
    test_support = Support

    def is_usable(self):
        return super().is_usable()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def found(report: Report) -> set[str]:
    return {result.id for result in report.violations}


@pytest.mark.parametrize(
    ("name", "base", "select"),
    [
        ("trusting", TRUSTS_ITS_FILE, "DJDEAD"),
        ("per_request", GIVES_BACK_AT_EACH_REQUESTS_END, "DJDEAD"),
        ("own_cursors", CURSORS_OF_ITS_OWN, "DJOPT-007"),
        ("touchy", TOUCHY, "DJGC"),
        ("leasing", POOLS_AT_THE_DRIVER, "DJTX-001"),
        ("beforehand", OPENS_BEFOREHAND, "DJGC-001"),
    ],
)
def test_a_right_engine_of_that_kind_has_no_violation(folder: Path, name: str, base: str, select: str) -> None:
    report = check(engines.engine(folder, f"{name}_engine", base), select=[select])
    assert found(report) == set(), report.violations
    assert report.counts[Verdict.PASS] > 0
    assert report.counts[Verdict.KIT_ERROR] + report.counts[Verdict.COULD_NOT_RUN] == 0


def test_what_init_does_to_the_settings_is_not_blamed_on_the_connection_parameters(folder: Path) -> None:
    report = check(engines.engine(folder, "writing_engine", WRITES_ITS_SETTINGS), select=["DJOPT"])
    assert found(report) == {"DJOPT-002"}


def test_an_option_that_init_pops_is_still_there_when_the_checks_begin(folder: Path) -> None:
    settings: dict[str, Any] = {"OPTIONS": {"max_conns": 4, "timeout": 5}}
    report = check(engines.engine(folder, "popping_engine", POPS_AN_OPTION), settings, select=["DJOPT-001"])
    assert found(report) == {"DJOPT-001"}
    assert "after __init__(), in OPTIONS: max_conns is gone" in report.violations[0].observed


def test_a_test_support_that_fails_is_not_the_engines_fault(folder: Path) -> None:
    report = check(engines.engine(folder, "helpless_engine", CANNOT_END_SESSIONS), select=["DJDEAD"])
    assert found(report) == set()
    unable = {result.id for result in report.results if result.verdict is Verdict.COULD_NOT_RUN}
    assert {"DJDEAD-002", "DJDEAD-004", "DJDEAD-009"} <= unable
    assert report.counts[Verdict.KIT_ERROR] == 0


def test_the_drivers_connection_is_found_under_a_pools_layers() -> None:
    from conformance.django.checks.lifecycle import underlying

    class Layer:
        def __init__(self, **inner: object) -> None:
            vars(self).update(inner)

        def cursor(self) -> None: ...

    driver = Layer(_con="no connection")
    leased = Layer(connection=Layer(_con=Layer(_con=driver)))
    assert underlying(leased) is driver
    assert underlying(Layer(connection=driver)) is driver
