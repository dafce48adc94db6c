"""Autocommit and transactions over PEP 249 modules, by each means that a driver may have: the same cases for all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from backend_sdk import DatabaseWrapper, ImproperlyConfigured, IntegrityError, OperationalError
from reference_backends.dbapi import DBAPIBackend, DBAPIConnection, DBAPISettings

Wrapper = DatabaseWrapper[Any, Any]


class Plain(sqlite3.Connection):
    """It begins by itself, as PEP 249 has it, and cannot be told otherwise: 3.12's switch is hidden."""

    @property
    def autocommit(self) -> Any:
        raise AttributeError("autocommit")


class ByMethod(Plain):
    """A switch that is a method, as ibm_db_dbi's."""

    def set_autocommit(self, autocommit: bool) -> None:
        self.isolation_level = None if autocommit else "DEFERRED"


class ByCall(sqlite3.Connection):
    """``autocommit`` is the method itself, as PyMySQL's."""

    @override  # of 3.12's attribute
    def autocommit(self, autocommit: bool) -> None:  # type: ignore[misc]  # there is none on 3.11
        self.isolation_level = None if autocommit else "DEFERRED"


class ByAttribute(sqlite3.Connection):
    """``autocommit`` is an attribute, as pg8000's and oracledb's; not to be set in a transaction, as psycopg's."""

    @property
    def autocommit(self) -> Any:
        return self.isolation_level is None

    @autocommit.setter
    def autocommit(self, autocommit: bool) -> None:
        if self.in_transaction:
            raise sqlite3.ProgrammingError("in a transaction")
        self.isolation_level = None if autocommit else "DEFERRED"


MEANS: dict[str, dict[str, Any]] = {
    "attribute": {"connect": {"factory": ByAttribute, "timeout": 0}},
    "call": {"connect": {"factory": ByCall, "timeout": 0}},
    "method": {"connect": {"factory": ByMethod, "timeout": 0}},
    "implicit": {"connect": {"factory": Plain, "timeout": 0}},
    "words": {"connect": {"factory": Plain, "timeout": 0, "isolation_level": None}, "begin_statement": "BEGIN"},
}


@pytest.fixture(params=MEANS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DBAPISettings:
    options = {"module": "sqlite3", **MEANS[request.param]}
    return DBAPISettings.from_mapping({"NAME": str(tmp_path / "test.db"), "OPTIONS": options})


@pytest.fixture
def wrapper(settings: DBAPISettings, seen: Callable[[], list[int]]) -> Iterator[Wrapper]:
    made: Wrapper = DatabaseWrapper(DBAPIBackend(settings))
    yield made
    made.close()


@pytest.fixture
def observer(settings: DBAPISettings) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(settings.name, isolation_level=None, timeout=0)
    made.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    yield made
    made.close()


@pytest.fixture
def seen(observer: sqlite3.Connection) -> Callable[[], list[int]]:
    """What another session sees."""
    return lambda: [row[0] for row in observer.execute("SELECT id FROM t ORDER BY id")]


def insert(wrapper: Wrapper, number: int) -> None:
    wrapper.cursor().execute("INSERT INTO t VALUES (?)", [number])


def test_statement_outside_of_a_block_is_committed_at_once(wrapper: Wrapper, seen: Callable[[], list[int]]) -> None:
    insert(wrapper, 1)
    assert seen() == [1]
    wrapper.cursor().executemany("INSERT INTO t VALUES (?)", [[2], [3]])
    assert seen() == [1, 2, 3]
    wrapper.cursor().execute("INSERT INTO t VALUES (4)").execute("INSERT INTO t VALUES (5)")
    assert seen() == [1, 2, 3, 4, 5]


def test_block_is_committed_as_a_whole_or_not_at_all(wrapper: Wrapper, seen: Callable[[], list[int]]) -> None:
    with wrapper.atomic():
        insert(wrapper, 1)
        assert seen() == []
        insert(wrapper, 2)
    insert(wrapper, 3)
    assert seen() == [1, 2, 3]

    def fail() -> None:
        with wrapper.atomic():
            insert(wrapper, 4)
            insert(wrapper, 1)

    with pytest.raises(IntegrityError):
        fail()
    insert(wrapper, 5)
    assert seen() == [1, 2, 3, 5]


def test_switched_off_everything_waits_for_the_commit_until_switched_on(
    wrapper: Wrapper, seen: Callable[[], list[int]]
) -> None:
    insert(wrapper, 1)
    wrapper.set_autocommit(False)
    for number in (2, 3):
        insert(wrapper, number)
        assert number not in seen()
        wrapper.commit()
        assert number in seen()
    insert(wrapper, 4)
    wrapper.rollback()
    insert(wrapper, 5)
    assert seen() == [1, 2, 3]
    wrapper.rollback()
    wrapper.set_autocommit(True)
    insert(wrapper, 6)
    assert seen() == [1, 2, 3, 6]


def test_off_in_the_settings_holds_from_the_first_statement(
    settings: DBAPISettings, seen: Callable[[], list[int]]
) -> None:
    wrapper: Wrapper = DatabaseWrapper(DBAPIBackend(settings.derive(autocommit=False)))
    insert(wrapper, 1)
    assert seen() == []
    wrapper.close()
    assert seen() == []


def test_switching_on_keeps_what_was_begun(wrapper: Wrapper, seen: Callable[[], list[int]]) -> None:
    wrapper.set_autocommit(False)
    insert(wrapper, 1)
    wrapper.set_autocommit(True)
    assert seen() == [1]


def test_look_at_the_session_ends_no_transaction(wrapper: Wrapper, seen: Callable[[], list[int]]) -> None:
    wrapper.set_autocommit(False)
    insert(wrapper, 1)
    assert wrapper.is_usable()
    assert seen() == []
    wrapper.commit()
    assert seen() == [1]


def test_statement_that_failed_leaves_nothing_open(wrapper: Wrapper, observer: sqlite3.Connection) -> None:
    with pytest.raises(IntegrityError):
        wrapper.cursor().executemany("INSERT INTO t VALUES (?)", [[1], [1]])
    observer.execute("INSERT INTO t VALUES (2)")  # it would wait for a lock, were something open


def test_commit_that_is_refused_keeps_the_transaction_to_roll_back(
    wrapper: Wrapper, seen: Callable[[], list[int]]
) -> None:
    wrapper.cursor().execute("CREATE TABLE child (t INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    wrapper.cursor().execute("PRAGMA foreign_keys = ON")
    with pytest.raises(IntegrityError, match="commit on 'default'"), wrapper.atomic():
        wrapper.cursor().execute("INSERT INTO t VALUES (1)").execute("INSERT INTO child VALUES (7)")
    assert seen() == []
    insert(wrapper, 2)
    assert seen() == [2]


@pytest.mark.parametrize("means", ["attribute", "call", "method"])
def test_drivers_own_switch_is_used_where_it_has_one(means: str) -> None:
    options = {"module": "sqlite3", **MEANS[means]}
    wrapper: Wrapper = DatabaseWrapper(
        DBAPIBackend(DBAPISettings.from_mapping({"NAME": ":memory:", "OPTIONS": options}))
    )
    connection = wrapper.connection.driver
    assert connection.isolation_level is None
    with wrapper.atomic():
        assert connection.isolation_level == "DEFERRED"
    assert connection.isolation_level is None
    wrapper.close()


def test_connection_is_the_drivers_own_in_all_else(wrapper: Wrapper) -> None:
    connection = wrapper.connection
    assert isinstance(connection, DBAPIConnection)
    assert connection.total_changes == connection.driver.total_changes == 0
    cursor = wrapper.cursor()
    cursor.arraysize = 2
    assert len(cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3").fetchmany()) == 2


def test_threads_that_share_take_turns(settings: DBAPISettings) -> None:
    assert sqlite3.threadsafety == 3
    assert DBAPIBackend(settings).threadsafety == 1


def test_begin_that_is_refused_is_not_taken_for_begun(tmp_path: Path) -> None:
    path = str(tmp_path / "test.db")
    options = {
        "module": "sqlite3",
        "connect": {"isolation_level": None, "timeout": 0},
        "begin_statement": "BEGIN EXCLUSIVE",
    }
    wrapper: Wrapper = DatabaseWrapper(DBAPIBackend(DBAPISettings.from_mapping({"NAME": path, "OPTIONS": options})))
    wrapper.cursor().execute("CREATE TABLE t (id INTEGER)")
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OperationalError, match="begin on 'default'"), wrapper.atomic():
        pytest.fail("the block was entered")
    other.execute("ROLLBACK")
    wrapper.set_autocommit(False)
    insert(wrapper, 1)
    wrapper.rollback()
    assert wrapper.cursor().execute("SELECT * FROM t").fetchall() == []
    wrapper.close()
    other.close()


def test_begin_statement_for_a_driver_with_a_switch_is_refused(tmp_path: Path) -> None:
    options = {"module": "sqlite3", "connect": {"factory": ByAttribute}, "begin_statement": "BEGIN"}
    settings = DBAPISettings.from_mapping({"NAME": str(tmp_path / "test.db"), "OPTIONS": options})
    with pytest.raises(ImproperlyConfigured, match="leave begin_statement out"):
        DatabaseWrapper(DBAPIBackend(settings)).connect()


def test_setting_that_the_driver_has_no_name_for_is_refused() -> None:
    class Nameless(DBAPIBackend, module="sqlite3"):
        arguments: ClassVar[Mapping[str, str]] = {"name": "database"}
        obeyed = frozenset({"user"})

    settings = DBAPISettings(name=":memory:", user="u")
    assert Nameless(settings).get_connection_params() == {"database": ":memory:"}
    for field in ("host", "password", "time_zone"):
        with pytest.raises(ImproperlyConfigured, match=f"{field.upper()} changes nothing for .*Nameless"):
            Nameless(settings.derive(**{field: "x"}))


def test_argument_that_connect_does_not_know_is_a_mistake_in_the_settings() -> None:
    wrapper: Wrapper = DatabaseWrapper(
        DBAPIBackend(DBAPISettings.from_mapping({"NAME": ":memory:", "HOST": "db", "OPTIONS": {"module": "sqlite3"}}))
    )
    with pytest.raises(ImproperlyConfigured, match="does not take database, host as given"):
        wrapper.connect()


def test_database_in_memory_is_private() -> None:
    assert DBAPISettings(name=":memory:").is_private
    assert not DBAPISettings(name="memory").is_private


# A driver that raises one class for all


class Unsorted(DBAPIBackend, module="sqlite3"):
    """Told apart by what stands in the text, in lieu of a server's code."""

    @override
    def sqlstate(self, error: BaseException, /) -> str | None:
        return {"no such table: t": "23505", "no such table: u": "57P01"}.get(str(error))


@pytest.mark.parametrize(
    ("table", "expected", "cause"),
    [
        ("t", IntegrityError, sqlite3.IntegrityError),
        ("u", OperationalError, sqlite3.OperationalError),
        ("v", OperationalError, sqlite3.OperationalError),  # no SQLSTATE: as the driver has it
    ],
)
def test_errors_are_sorted_by_their_sqlstate(table: str, expected: type, cause: type) -> None:
    wrapper: Wrapper = DatabaseWrapper(Unsorted(DBAPISettings(name=":memory:")))
    with pytest.raises(expected, match=f"no such table: {table}") as caught:
        wrapper.cursor().execute(f"SELECT * FROM {table}")
    assert type(caught.value) is expected
    sorted_error = caught.value.__cause__
    assert sorted_error is not None
    assert type(sorted_error) is cause
    drivers = sorted_error.__cause__
    assert type(drivers) is sqlite3.OperationalError
    assert drivers.__traceback__ is None  # a driver that keeps its error would keep the caller's frames by it
    wrapper.close()
