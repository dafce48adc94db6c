"""The SQLite backend: every option seen at work by a real file, most of them by a second connection too."""

from __future__ import annotations

import copy
import gc
import os
import sqlite3
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from typing_extensions import TypeVar, override

from backend_sdk import (
    ABILITIES,
    CredentialSource,
    DatabaseError,
    DatabaseWrapper,
    DataError,
    ImproperlyConfigured,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    SupportsExpiringCredentials,
    SupportsLeases,
    SupportsNamedCursor,
    SupportsRenew,
    TransactionManagementError,
    TransactionStatus,
    declared_abilities,
    make_backend,
)
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor, SQLiteFunction, SQLiteOptions, SQLiteSettings

PATIENCE = 20.0  # seconds until a test that hangs fails; no test waits so long unless it fails

T = TypeVar("T")
Wrapper = DatabaseWrapper[sqlite3.Connection, SQLiteCursor]


class Database:
    """One file, wrappers of it under various options, and connections of the driver's own as witnesses."""

    def __init__(self, path: Path, driver: ModuleType = sqlite3) -> None:
        self.path = path
        self.driver = driver
        self._closing: list[Callable[[], None]] = []

    def settings(self, *, autocommit: bool = True, name: str | None = None, **options: Any) -> SQLiteSettings:
        if self.driver is not sqlite3:
            options["driver"] = self.driver.__name__.removesuffix(".dbapi2")
        mapping = {"NAME": name or str(self.path), "AUTOCOMMIT": autocommit, "OPTIONS": options}
        return SQLiteSettings.from_mapping(mapping)

    def wrapper(self, **options: Any) -> Wrapper:
        made = DatabaseWrapper(SQLiteBackend(self.settings(**options)))
        self._closing.append(made.close)
        return made

    def opened(self, **options: Any) -> tuple[SQLiteBackend, sqlite3.Connection]:
        """A backend and a connection brought up as a wrapper or a pool would."""
        backend = SQLiteBackend(self.settings(**options))
        connection = backend.get_new_connection(backend.get_connection_params())
        self._closing.append(connection.close)
        backend.configure_connection(connection)
        backend.set_autocommit(connection, backend.settings.autocommit)
        backend.init_connection_state(connection)
        return backend, connection

    def witness(self) -> sqlite3.Connection:
        """The driver's own, in its own autocommit; it waits for nobody."""
        made = cast(
            "sqlite3.Connection",
            self.driver.connect(str(self.path), timeout=0, isolation_level=None, check_same_thread=False),
        )
        self._closing.append(made.close)
        return made

    def close(self) -> None:
        for close in reversed(self._closing):
            close()


def drivers() -> list[Any]:
    found = [pytest.param(sqlite3, id="sqlite3")]
    try:
        pysqlite3 = import_module("pysqlite3.dbapi2")
    except ImportError:
        return found
    return [*found, pytest.param(pysqlite3, id="pysqlite3")]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "a.db")
    yield made
    made.close()


@pytest.fixture(params=drivers())
def any_driver(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """As `database`, over each driver that is installed."""
    made = Database(tmp_path / "a.db", request.param)
    yield made
    made.close()


def fill(database: Database) -> None:
    database.witness().executescript(
        "PRAGMA synchronous=OFF; BEGIN; CREATE TABLE t (a INTEGER UNIQUE); INSERT INTO t VALUES (1), (2), (3); COMMIT"
    )


@pytest.fixture
def table(database: Database) -> Database:
    fill(database)
    return database


def query(connection: Any, sql: str, *params: object) -> list[Any]:
    cursor = connection.cursor()
    cursor.row_factory = None
    found = cursor.execute(sql, params).fetchall()
    cursor.close()
    return cast("list[Any]", found)


def value(connection: Any, sql: str, *params: object) -> Any:
    (row,) = query(connection, sql, *params)
    return row[0]


def note(seen: list[T], item: T, answer: int) -> int:
    """For a callback of the driver's: remember *item* and answer."""
    seen.append(item)
    return answer


def locked(connection: sqlite3.Connection, sql: str) -> bool:
    """Whether *sql* is refused for a lock that somebody else holds."""
    try:
        connection.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return True
    return False


def in_thread(function: Callable[[], None]) -> None:
    """Run *function* in another thread and raise what it raises."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def refusal(**settings: Any) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        make_backend({"ENGINE": "reference_backends.sqlite3", "NAME": ":memory:", **settings}, alias="a")
    return str(caught.value)


class TestSettings:
    @pytest.mark.parametrize("key", ["USER", "HOST", "TIME_ZONE"])
    def test_what_means_nothing_to_sqlite_is_refused(self, key: str) -> None:
        assert refusal(**{key: "x"}).startswith(f"settings of 'a': {key} means nothing to SQLite; leave it out")
        assert refusal(PORT=1).startswith("settings of 'a': PORT means nothing to SQLite; leave it out")

    def test_a_password_is_refused_unread(self) -> None:
        def fetch() -> str:
            raise AssertionError("nobody has asked for it")

        for password in ("hunter2", CredentialSource("iam", fetch)):
            assert refusal(PASSWORD=password) == "settings of 'a': PASSWORD means nothing to SQLite; leave it out"

    def test_a_name_is_needed(self) -> None:
        assert "NAME is missing: give a path, or ':memory:'" in refusal(NAME="")
        with pytest.raises(ImproperlyConfigured, match="sqlite:///relative"):
            make_backend("sqlite://relative.db")

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"memory_name": "x y"}, "OPTIONS.memory_name: string should match"),
            ({"memory_name": "x?mode=ro"}, "OPTIONS.memory_name: string should match"),
            ({"timeout": -1}, "OPTIONS.timeout: "),
            ({"timeout": float("nan")}, "OPTIONS.timeout: "),
            ({"timeout": float("inf")}, "OPTIONS.timeout: "),
            ({"timeout": 2_147_484}, "OPTIONS.timeout: "),
            ({"cached_statements": -1}, "OPTIONS.cached_statements: "),
            ({"journal_mode": "WALL"}, "OPTIONS.journal_mode: input should be 'DELETE', 'TRUNCATE'"),
            ({"transaction_mode": "LATER"}, "OPTIONS.transaction_mode: input should be 'DEFERRED'"),
            ({"journal": "WAL"}, "unknown key 'OPTIONS.journal'; did you mean 'journal_mode'?"),
            ({"pragmas": {"cache_size": "1; DROP TABLE t"}}, "OPTIONS.pragmas: 'cache_size' is not a plain pragma"),
            ({"pragmas": {"cache size": 1}}, "OPTIONS.pragmas: 'cache size' is not a plain pragma"),
            ({"pragmas": {"cache_size": ""}}, "OPTIONS.pragmas: 'cache_size' is not a plain pragma"),
            ({"pragmas": {"synchronus": "OFF"}}, "has no pragma 'synchronus'; did you mean 'synchronous'?"),
            ({"pragmas": {"zzzz": 1}}, "has no pragma 'zzzz'; PRAGMA pragma_list tells which there are"),
            ({"functions": [("f", "many", len)]}, "OPTIONS.functions.0."),
            ({"row_factory": "Row"}, "OPTIONS.row_factory: input should be callable"),
            ({"driver": ""}, "OPTIONS.driver: "),
            ({"driver": "..sqlite3"}, "OPTIONS.driver: "),
            ({"driver": "no_such_driver"}, "OPTIONS driver: there is no module 'no_such_driver'; install it"),
            ({"driver": "json"}, "OPTIONS driver: module 'json' is no SQLite driver, it lacks connect, "),
        ],
        ids=str,
    )  # fmt: skip
    def test_a_wrong_option_is_refused_by_its_name(self, options: dict[str, Any], text: str) -> None:
        told = refusal(OPTIONS=options)
        assert told.startswith("settings of 'a': ")
        assert text in told

    def test_a_memory_name_goes_with_memory_alone(self) -> None:
        assert refusal(NAME="a.db", OPTIONS={"memory_name": "x"}) == (
            "settings of 'a': OPTIONS memory_name goes with NAME ':memory:'"
        )

    @pytest.mark.parametrize("flag", [True, False])
    def test_whoever_passes_check_same_thread_is_told_once_that_ownership_is_ours(self, flag: bool) -> None:
        with pytest.warns(UserWarning, match=r"check_same_thread has no effect: .*with wrapper\.shared\(\)") as told:
            settings = SQLiteSettings.from_mapping({"NAME": ":memory:", "OPTIONS": {"check_same_thread": flag}})
        assert len(told) == 1
        backend = SQLiteBackend(settings.derive(conn_max_age=None))
        assert backend.get_connection_params()["check_same_thread"] is False

    @pytest.mark.parametrize("options", [{}, {"check_same_thread": None}])
    def test_whoever_does_not_is_told_nothing(self, options: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            SQLiteBackend(SQLiteSettings.from_mapping({"NAME": ":memory:", "OPTIONS": options}))

    @pytest.mark.parametrize(
        ("name", "options", "private"),
        [
            (":memory:", {}, True),
            (":memory:", {"memory_name": "x"}, False),
            ("a.db", {}, False),
            ("file:a.db", {}, False),
            ("file::memory:", {}, True),
            ("file:x?mode=memory", {}, True),
            ("file::memory:?cache=shared", {}, False),
            ("file:x?mode=memory&cache=shared", {}, False),
            ("file:/x?vfs=memdb", {}, False),
        ],
    )
    def test_a_database_of_each_connections_own_makes_each_wrapper_another_session(
        self, name: str, options: dict[str, Any], private: bool
    ) -> None:
        backend = SQLiteBackend(SQLiteSettings.from_mapping({"NAME": name, "OPTIONS": options}))
        assert backend.settings.is_private is private
        one, other = DatabaseWrapper(backend), DatabaseWrapper(backend)
        assert (one.fingerprint != other.fingerprint) is private
        assert one.fingerprint == one.fingerprint


class TestWhatIsOpened:
    def test_the_driver_never_checks_threads_nor_begins_by_itself(self) -> None:
        params = SQLiteBackend(SQLiteSettings(name="a.db")).get_connection_params()
        assert params["check_same_thread"] is False
        assert params["isolation_level"] is None
        assert "autocommit" not in params

    def test_params_are_equal_each_time_and_the_callers_to_change(self) -> None:
        backend = SQLiteBackend(SQLiteSettings(name="a.db"))
        params = backend.get_connection_params()
        assert params == backend.get_connection_params()
        params["database"] = "b.db"
        assert backend.get_connection_params()["database"] == "a.db"

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the attribute is new in Python 3.12")
    def test_the_drivers_autocommit_attribute_stays_at_its_default(self, database: Database) -> None:
        _, connection = database.opened(autocommit=False)
        legacy = vars(sqlite3)["LEGACY_TRANSACTION_CONTROL"]  # the type checkers look at this file as of Python 3.11
        assert cast("Any", connection).autocommit == legacy

    def test_a_private_memory_database_is_each_wrappers_own(self, database: Database) -> None:
        one, other = (database.wrapper(name=":memory:") for _ in range(2))
        one.cursor().execute("CREATE TABLE t (a)")
        assert query(other, "SELECT name FROM sqlite_master") == []

    def test_a_named_memory_database_is_shared_between_threads(self, any_driver: Database) -> None:
        name = f"shared_{id(any_driver)}"
        here = any_driver.wrapper(name=":memory:", memory_name=name)
        here.cursor().execute("CREATE TABLE t (a)")

        def there() -> None:
            wrapper = DatabaseWrapper(here.backend)
            with wrapper.atomic():
                wrapper.cursor().execute("INSERT INTO t VALUES (7)")
            wrapper.close()

        in_thread(there)
        assert query(here, "SELECT a FROM t") == [(7,)]
        other = any_driver.wrapper(name=":memory:", memory_name=f"{name}_other")
        assert query(other, "SELECT name FROM sqlite_master") == []

    def test_a_named_memory_database_locks_as_a_file_does(self, database: Database) -> None:
        options = {"name": ":memory:", "memory_name": f"locks_{id(database)}", "timeout": 0}
        one, other = database.wrapper(**options), database.wrapper(**options)
        one.cursor().execute("CREATE TABLE t (a)")
        with one.atomic():
            one.cursor().execute("INSERT INTO t VALUES (1)")
            with pytest.raises(OperationalError, match="locked"):
                other.cursor().execute("INSERT INTO t VALUES (2)")

    def test_a_named_memory_database_is_gone_with_its_last_connection(self, database: Database) -> None:
        wrapper = database.wrapper(name=":memory:", memory_name=f"gone_{id(database)}")
        wrapper.cursor().execute("CREATE TABLE t (a)")
        wrapper.close()
        assert query(wrapper, "SELECT name FROM sqlite_master") == []

    def test_a_file_uri_is_opened_as_one(self, table: Database) -> None:
        wrapper = table.wrapper(name=f"file:{table.path}?mode=ro")
        assert value(wrapper, "SELECT count(*) FROM t") == 3
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("DELETE FROM t")

    def test_the_rest_of_a_path_is_no_uri(self, database: Database) -> None:
        odd = database.path.with_name("a?mode=ro#x%20.db")
        database.wrapper(name=str(odd)).cursor().execute("CREATE TABLE t (a)")
        assert odd.exists()

    def test_a_failed_open_names_step_and_alias(self, database: Database) -> None:
        wrapper = database.wrapper(name=str(database.path.parent))
        with pytest.raises(OperationalError, match=r"^connect on 'default': unable to open database file"):
            wrapper.connect()


class TestReadOnly:
    def test_a_file_takes_no_write_whatever_the_session_says(self, table: Database) -> None:
        wrapper = table.wrapper(read_only=True)
        assert value(wrapper, "SELECT count(*) FROM t") == 3
        wrapper.cursor().execute("PRAGMA query_only=0")
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("INSERT INTO t VALUES (9)")
        table.witness().execute("INSERT INTO t VALUES (4)")
        assert value(wrapper, "SELECT count(*) FROM t") == 4

    def test_a_file_that_is_not_there_is_not_made(self, database: Database) -> None:
        with pytest.raises(OperationalError, match="unable to open"):
            database.wrapper(read_only=True).connect()
        assert not database.path.exists()

    @pytest.mark.parametrize("name", ["a b.db", "a?b#c%20d&e.db", "ü.db", "100%.db", os.fsdecode(b"raw\xff.db")])
    def test_any_file_name_is_found(self, tmp_path: Path, name: str) -> None:
        database = Database(tmp_path / name)
        try:
            database.witness().execute("CREATE TABLE t (a)")
        except (OSError, sqlite3.OperationalError):
            pytest.skip("this file system does not take the name")
        wrapper = database.wrapper(read_only=True)
        assert query(wrapper, "SELECT name FROM sqlite_master") == [("t",)]
        database.close()

    def test_a_relative_path_is_found(self, table: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(table.path.parent)
        assert value(table.wrapper(name="a.db", read_only=True), "SELECT count(*) FROM t") == 3

    def test_a_path_that_begins_with_two_slashes_is_found(self, table: Database) -> None:
        assert value(table.wrapper(name=f"/{table.path}", read_only=True), "SELECT count(*) FROM t") == 3

    @pytest.mark.parametrize("rest", ["", "?cache=private", "?mode=rw", "#fragment", "?cache=private#fragment"])
    def test_a_file_uri_is_opened_read_only(self, table: Database, rest: str) -> None:
        wrapper = table.wrapper(name=f"file:{table.path}{rest}", read_only=True)
        wrapper.cursor().execute("PRAGMA query_only=0")
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("INSERT INTO t VALUES (9)")

    def test_a_shared_memory_database_takes_writes_from_others_alone(self, database: Database) -> None:
        name = f"read_only_{id(database)}"
        writer = database.wrapper(name=":memory:", memory_name=name)
        writer.cursor().execute("CREATE TABLE t (a)")
        reader = database.wrapper(name=":memory:", memory_name=name, read_only=True)
        reader.cursor().execute("PRAGMA query_only=0")
        with pytest.raises(OperationalError, match="readonly"):
            reader.cursor().execute("INSERT INTO t VALUES (1)")
        writer.cursor().execute("INSERT INTO t VALUES (1)")
        assert value(reader, "SELECT count(*) FROM t") == 1

    @pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory"])
    def test_a_private_memory_database_is_empty_and_stays_so(self, database: Database, name: str) -> None:
        wrapper = database.wrapper(name=name, read_only=True)
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("CREATE TABLE t (a)")

    def test_a_session_can_be_made_read_only_and_back(self, table: Database) -> None:
        wrapper = table.wrapper()
        wrapper.set_read_only(True)
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("INSERT INTO t VALUES (9)")
        wrapper.set_read_only(False)
        wrapper.cursor().execute("INSERT INTO t VALUES (9)")
        assert value(table.witness(), "SELECT count(*) FROM t") == 4

    def test_settings_that_say_read_only_are_not_overruled(self, database: Database) -> None:
        wrapper = database.wrapper(name=":memory:", read_only=True)
        wrapper.set_read_only(False)
        with pytest.raises(OperationalError, match="readonly"):
            wrapper.cursor().execute("CREATE TABLE t (a)")


class TestOptions:
    @pytest.mark.parametrize(("timeout", "milliseconds"), [(0, 0), (2.5, 2500), (None, 5000)])
    def test_timeout_is_how_long_sqlite_waits_for_a_lock(
        self, database: Database, timeout: float | None, milliseconds: int
    ) -> None:
        wrapper = database.wrapper(**({} if timeout is None else {"timeout": timeout}))
        assert value(wrapper, "PRAGMA busy_timeout") == milliseconds

    def test_without_a_timeout_a_lock_is_told_at_once(self, table: Database) -> None:
        wrapper = table.wrapper(timeout=0)
        table.witness().execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            wrapper.cursor().execute("DELETE FROM t")

    @pytest.mark.parametrize(("kept", "prepared"), [(0, 3), (8, 1)])
    def test_cached_statements_are_not_prepared_again(self, database: Database, kept: int, prepared: int) -> None:
        _, connection = database.opened(name=":memory:", cached_statements=kept)
        seen: list[int] = []
        connection.set_authorizer(lambda action, *_: note(seen, action, sqlite3.SQLITE_OK))
        for _ in range(3):
            connection.execute("SELECT 1").close()
        connection.set_authorizer(None)
        assert seen.count(sqlite3.SQLITE_SELECT) == prepared

    def test_detect_types_converts_by_the_columns_name(self, database: Database) -> None:
        sqlite3.register_converter("sdk_shout", lambda raw: raw.decode().upper())
        sql = "SELECT 'a' AS \"x [sdk_shout]\""
        assert value(database.wrapper(name=":memory:"), sql) == "a"
        assert value(database.wrapper(name=":memory:", detect_types=sqlite3.PARSE_COLNAMES), sql) == "A"

    @pytest.mark.parametrize(
        ("mode", "read_refused", "write_refused"),
        [("DEFERRED", False, False), ("immediate", False, True), ("Exclusive", True, True)],
    )
    def test_a_transaction_begins_when_it_says(
        self, table: Database, mode: str, read_refused: bool, write_refused: bool
    ) -> None:
        wrapper, witness = table.wrapper(transaction_mode=mode), table.witness()
        with wrapper.atomic():
            assert locked(witness, "SELECT a FROM t") is read_refused
            assert locked(witness, "INSERT INTO t VALUES (9)") is write_refused
        assert not locked(witness, "DELETE FROM t")

    @pytest.mark.parametrize(
        ("given", "enforced"), [({}, True), ({"foreign_keys": True}, True), ({"foreign_keys": False}, False)]
    )
    def test_foreign_keys_are_enforced_unless_switched_off(
        self, database: Database, given: dict[str, Any], enforced: bool
    ) -> None:
        database.witness().executescript("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p)")
        cursor = database.wrapper(**given).cursor()
        if enforced:
            with pytest.raises(IntegrityError, match="FOREIGN KEY"):
                cursor.execute("INSERT INTO c VALUES (1)")
        else:
            cursor.execute("INSERT INTO c VALUES (1)")

    def test_a_pragma_that_is_none_is_left_to_the_driver(self, database: Database) -> None:
        wrapper, witness = database.wrapper(foreign_keys=None), database.witness()
        for pragma in ("foreign_keys", "synchronous", "journal_mode"):
            assert value(wrapper, f"PRAGMA {pragma}") == value(witness, f"PRAGMA {pragma}")

    @pytest.mark.parametrize(
        ("mode", "left"),
        [("delete", None), ("TRUNCATE", 0), ("PERSIST", "some"), ("MEMORY", None), ("OFF", None)],
    )
    def test_journal_mode_is_what_becomes_of_the_journal(self, table: Database, mode: str, left: object) -> None:
        wrapper = table.wrapper(journal_mode=mode)
        wrapper.cursor().execute("DELETE FROM t")
        assert value(wrapper, "PRAGMA journal_mode") == mode.lower()
        journal = table.path.with_name("a.db-journal")
        size = journal.stat().st_size if journal.exists() else None
        assert ("some" if size else size) == left

    def test_journal_mode_wal_lasts_in_the_file(self, table: Database) -> None:
        wrapper, reader = table.wrapper(journal_mode="wal"), table.witness()
        cursor = wrapper.cursor()
        with wrapper.atomic():
            cursor.execute("DELETE FROM t")
            assert value(reader, "SELECT count(*) FROM t") == 3, "readers go on beside a writer"
        assert value(table.witness(), "PRAGMA journal_mode") == "wal"

    def test_the_switch_to_wal_waits_for_others_as_long_as_the_timeout(
        self, table: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waiting = threading.Event()

        class Connection(sqlite3.Connection):
            @override
            def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
                if sql == "BEGIN IMMEDIATE":
                    waiting.set()
                return super().execute(sql, *params)

        install_driver(monkeypatch, "slow_driver", connect=lambda **params: Connection(**params))
        witness = table.witness()
        witness.execute("BEGIN IMMEDIATE")

        def open_in_wal() -> None:
            backend = SQLiteBackend(table.settings(journal_mode="WAL", timeout=PATIENCE, driver="slow_driver"))
            wrapper = DatabaseWrapper(backend)
            assert value(wrapper, "PRAGMA journal_mode") == "wal"
            wrapper.close()

        def release() -> None:
            assert waiting.wait(PATIENCE), "it has given up without waiting"
            witness.execute("COMMIT")

        thread = threading.Thread(target=release)
        thread.start()
        in_thread(open_in_wal)
        thread.join()

    def test_the_switch_to_wal_gives_up_after_the_timeout(self, table: Database) -> None:
        witness = table.witness()
        witness.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match=r"^init_connection_state on 'default': database is locked"):
            table.wrapper(journal_mode="WAL", timeout=0).connect()

    @pytest.mark.parametrize(("level", "number"), [("OFF", 0), ("normal", 1), ("FULL", 2), ("EXTRA", 3)])
    def test_synchronous_is_set(self, database: Database, level: str, number: int) -> None:
        assert value(database.wrapper(synchronous=level), "PRAGMA synchronous") == number

    def test_any_other_pragma_is_set(self, database: Database) -> None:
        wrapper = database.wrapper(pragmas={"cache_size": -500, "RECURSIVE_TRIGGERS": "ON", "temp_store": "MEMORY"})
        assert value(wrapper, "PRAGMA cache_size") == -500
        assert value(wrapper, "PRAGMA recursive_triggers") == 1
        assert value(wrapper, "PRAGMA temp_store") == 2

    def test_a_pragma_given_by_name_wins_over_the_typed_default(self, database: Database) -> None:
        assert value(database.wrapper(pragmas={"Foreign_Keys": "OFF"}), "PRAGMA foreign_keys") == 0

    def test_functions_are_there_in_sql(self, any_driver: Database) -> None:
        functions = [("sum_of", 2, lambda a, b: a + b), SQLiteFunction("count_all", -1, lambda *args: len(args))]
        wrapper = any_driver.wrapper(functions=functions)
        assert query(wrapper, "SELECT sum_of(1, 2), count_all(), count_all(1, 2)") == [(3, 0, 2)]

    def test_a_deterministic_function_may_be_in_an_index_and_another_may_not(self, table: Database) -> None:
        wrapper = table.wrapper(functions=[("same", 1, abs, True), ("other", 1, abs, False)])
        wrapper.cursor().execute("CREATE INDEX i ON t (same(a))")
        with pytest.raises(OperationalError, match="non-deterministic"):
            wrapper.cursor().execute("CREATE INDEX j ON t (other(a))")

    def test_collations_are_there_in_sql(self, any_driver: Database) -> None:
        wrapper = any_driver.wrapper(collations={"backwards": lambda a, b: (a < b) - (a > b)})
        sql = "SELECT * FROM (VALUES ('a'), ('c'), ('b')) ORDER BY 1 COLLATE backwards"
        assert query(wrapper, sql) == [("c",), ("b",), ("a",)]

    @pytest.mark.parametrize(
        "fetch", [lambda c: c.fetchone(), lambda c: c.fetchall()[0], next, lambda c: next(iter(c))]
    )
    def test_row_factory_makes_the_rows(self, table: Database, fetch: Callable[[Any], Any]) -> None:
        sql = "SELECT a, a + 1 AS b FROM t"
        row = fetch(table.wrapper(row_factory=sqlite3.Row).cursor().execute(sql))
        assert (row["a"], row["b"], tuple(row)) == (1, 2, (1, 2))
        row = fetch(table.wrapper(row_factory=as_dict).cursor().execute(sql))
        assert row == {"a": 1, "b": 2}
        assert fetch(table.wrapper().cursor().execute(sql)) == (1, 2)

    def test_row_factory_disturbs_nothing_else(self, table: Database) -> None:
        wrapper = table.wrapper(row_factory=as_dict, journal_mode="WAL")
        with wrapper.atomic(), wrapper.atomic():
            wrapper.cursor().execute("DELETE FROM t WHERE a = 1")
        assert wrapper.is_usable()
        backend, connection = table.opened(row_factory=as_dict)
        backend.reset(connection)
        assert connection.execute("SELECT 1 AS x").fetchone() == {"x": 1}

    def test_settings_with_every_option_can_be_hashed_and_derived(self) -> None:
        options = SQLiteOptions(
            functions=(SQLiteFunction("f", 1, abs),), collations={"c": compare}, row_factory=sqlite3.Row,
            pragmas={"cache_size": 5},
        )  # fmt: skip
        settings = SQLiteSettings(name="a.db", options=options)
        assert hash(settings) == hash(copy.deepcopy(settings).derive())
        assert settings.derive(options={"timeout": 1}).options.functions == options.functions
        assert settings.fingerprint == settings.derive().fingerprint
        assert settings.fingerprint != settings.derive(options={"row_factory": None}).fingerprint


def as_dict(cursor: Any, row: Any) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


def compare(left: str, right: str) -> int:
    return (left > right) - (left < right)


def install_driver(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> ModuleType:
    """A driver module of another name, which is SQLite's but for *members*."""
    module = ModuleType(name)
    vars(module).update(
        {key: item for key, item in vars(import_module("sqlite3.dbapi2")).items() if not key.startswith("__")}
    )
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


class TestDriver:
    def test_the_driver_is_whatever_module_is_named(self, table: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        class Cursor(sqlite3.Cursor): ...

        class Connection(sqlite3.Connection): ...

        calls: list[dict[str, Any]] = []

        def connect(**params: Any) -> sqlite3.Connection:
            calls.append(params)
            return Connection(**params)

        install_driver(
            monkeypatch, "my_driver", connect=connect, Connection=Connection, Cursor=Cursor,
            sqlite_version_info=(9, 9, 9), threadsafety=1,
        )  # fmt: skip
        wrapper = table.wrapper(driver="my_driver", timeout=1.5, cached_statements=7, detect_types=2)
        with wrapper.cursor() as cursor:
            assert isinstance(cursor, Cursor)
            assert value(wrapper, "SELECT count(*) FROM t") == 3
        assert calls == [
            {
                "database": str(table.path), "timeout": 1.5, "detect_types": 2, "isolation_level": None,
                "check_same_thread": False, "cached_statements": 7, "uri": False,
            }
        ]  # fmt: skip
        assert type(wrapper.connection) is Connection
        assert wrapper.server_version == (9, 9, 9)
        assert wrapper.backend.threadsafety == 1

    def test_the_errors_of_another_driver_become_ours(self, table: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        class Error(Exception): ...

        class OurIntegrityError(Error): ...

        class IntegrityErrorOfTheirs(OurIntegrityError): ...

        IntegrityErrorOfTheirs.__name__ = "IntegrityError"

        class Cursor(sqlite3.Cursor):
            @override
            def execute(self, *args: Any) -> Any:
                raise IntegrityErrorOfTheirs("taken")

        install_driver(monkeypatch, "odd_driver", Error=Error, Warning=None, Cursor=Cursor)
        with pytest.raises(IntegrityError, match=r"^execute on 'default': taken"):
            table.wrapper(driver="odd_driver", foreign_keys=None).cursor().execute("SELECT 1")

    def test_an_error_while_a_driver_is_imported_passes_through(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        for name, source in {
            "broken_driver_a": "import needed_by_the_driver",
            "broken_driver_b": "raise ImportError('libsqlite3.so.0: undefined symbol')",
        }.items():
            (tmp_path / f"{name}.py").write_text(source)
            with pytest.raises(ImportError, match=r"needed_by_the_driver|undefined symbol"):
                SQLiteBackend(SQLiteSettings.from_mapping({"NAME": "x", "OPTIONS": {"driver": name}}))

    def test_other_builds_may_know_pragmas_that_they_do_not_list(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install_driver(monkeypatch, "encrypting_driver")
        database.wrapper(driver="encrypting_driver", pragmas={"cipher_page_size": 4096}).connect()

    def test_two_backends_of_one_driver_share_its_cursor_class(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Cursor(sqlite3.Cursor): ...

        install_driver(monkeypatch, "class_driver", Cursor=Cursor)
        one, other = (database.wrapper(driver="class_driver").cursor() for _ in range(2))
        assert type(one) is type(other)
        assert type(database.wrapper().cursor()) is SQLiteCursor


def fail_in_a_block(wrapper: Wrapper, sql: str) -> None:
    @wrapper.atomic()
    def fail() -> None:
        wrapper.cursor().execute(sql)
        raise LookupError

    with pytest.raises(LookupError):
        fail()


class TestSession:
    def test_init_may_be_repeated_and_leaves_no_transaction(self, any_driver: Database) -> None:
        for autocommit in (True, False):
            backend, connection = any_driver.opened(
                autocommit=autocommit, journal_mode="WAL", synchronous="OFF", pragmas={"cache_size": 7}
            )
            for _ in range(3):
                backend.init_connection_state(connection)
                assert not connection.in_transaction
                assert snapshot(connection) == snapshot(any_driver.opened(
                    journal_mode="WAL", synchronous="OFF", pragmas={"cache_size": 7}
                )[1])  # fmt: skip

    def test_the_cursor_is_a_context_manager_that_closes(self, table: Database) -> None:
        wrapper = table.wrapper()
        with wrapper.cursor() as cursor:
            assert cursor.execute("SELECT a FROM t").fetchone() == (1,)
        with pytest.raises(ProgrammingError, match="closed cursor"):
            cursor.fetchone()
        with pytest.raises(LookupError), wrapper.cursor() as cursor:
            raise LookupError
        with pytest.raises(ProgrammingError, match="closed cursor"):
            cursor.execute("SELECT 1")

    @pytest.mark.parametrize(
        ("sql", "error"),
        [
            ("INSERT INTO t VALUES (1)", IntegrityError),
            ("SELECT * FROM missing", OperationalError),
            ("SELECT ?", ProgrammingError),
            ("SELECT 1; SELECT 2", (ProgrammingError, DatabaseError)),
        ],
    )
    def test_errors_become_ours_with_the_drivers_as_cause(self, table: Database, sql: str, error: Any) -> None:
        with pytest.raises(error) as caught:
            table.wrapper().cursor().execute(sql)
        assert caught.value.step == "execute"

    def test_an_overflow_is_a_data_error_and_a_wrong_type_an_interface_error(self, database: Database) -> None:
        cursor = database.wrapper(name=":memory:").cursor()
        with pytest.raises((InterfaceError, ProgrammingError), match="type"):
            cursor.execute("SELECT ?", [object()])
        with pytest.raises(DataError, match="too big"):
            cursor.execute("SELECT zeroblob(3000000000)")

    def test_in_autocommit_each_statement_is_durable_at_once(self, table: Database) -> None:
        wrapper, witness = table.wrapper(), table.witness()
        wrapper.cursor().execute("INSERT INTO t VALUES (4)")
        assert not wrapper.connection.in_transaction
        assert value(witness, "SELECT count(*) FROM t") == 4

    @pytest.mark.parametrize(("mode", "write_refused"), [("DEFERRED", True), ("IMMEDIATE", True), ("EXCLUSIVE", True)])
    def test_without_autocommit_work_is_kept_by_commit_and_lost_by_rollback(
        self, table: Database, mode: str, write_refused: bool
    ) -> None:
        wrapper, witness = table.wrapper(autocommit=False, transaction_mode=mode), table.witness()
        cursor = wrapper.cursor()
        cursor.execute("INSERT INTO t VALUES (4)")
        assert locked(witness, "INSERT INTO t VALUES (9)") is write_refused
        wrapper.rollback()
        assert value(witness, "SELECT count(*) FROM t") == 3
        cursor.execute("INSERT INTO t VALUES (5)")
        wrapper.commit()
        assert value(witness, "SELECT count(*) FROM t") == 4
        assert not wrapper.connection.in_transaction

    def test_without_autocommit_a_transaction_begins_as_its_mode_says(self, table: Database) -> None:
        wrapper, witness = table.wrapper(autocommit=False, transaction_mode="EXCLUSIVE"), table.witness()
        wrapper.connect()
        assert not locked(witness, "SELECT a FROM t"), "opening begins nothing"
        wrapper.cursor().execute("DELETE FROM t WHERE a > 5")
        assert locked(witness, "SELECT a FROM t")
        wrapper.rollback()

    def test_without_autocommit_a_close_loses_what_was_not_committed(self, table: Database) -> None:
        wrapper = table.wrapper(autocommit=False)
        wrapper.cursor().execute("DELETE FROM t")
        wrapper.close()
        assert value(table.witness(), "SELECT count(*) FROM t") == 3

    def test_autocommit_can_be_switched(self, table: Database) -> None:
        wrapper, witness = table.wrapper(), table.witness()
        wrapper.set_autocommit(False)
        wrapper.cursor().execute("INSERT INTO t VALUES (4)")
        assert value(witness, "SELECT count(*) FROM t") == 3
        wrapper.commit()
        wrapper.set_autocommit(True)
        wrapper.cursor().execute("INSERT INTO t VALUES (5)")
        assert value(witness, "SELECT count(*) FROM t") == 5

    def test_a_block_without_autocommit_is_a_savepoint_of_the_transaction(self, table: Database) -> None:
        wrapper = table.wrapper(autocommit=False)
        fail_in_a_block(wrapper, "CREATE TABLE u (a)")
        with wrapper.atomic():
            wrapper.cursor().execute("INSERT INTO t VALUES (4)")
        assert value(table.witness(), "SELECT count(*) FROM t") == 3
        wrapper.commit()
        assert value(table.witness(), "SELECT count(*) FROM t") == 4
        assert query(table.witness(), "SELECT name FROM sqlite_master WHERE type = 'table'") == [("t",)]

    def test_a_block_that_fails_undoes_ddl_too(self, any_driver: Database) -> None:
        wrapper = any_driver.wrapper()
        fail_in_a_block(wrapper, "CREATE TABLE u (a)")
        with wrapper.atomic():
            wrapper.cursor().execute("CREATE TABLE v (a)")
            fail_in_a_block(wrapper, "CREATE TABLE w (a)")
        assert query(any_driver.witness(), "SELECT name FROM sqlite_master") == [("v",)]
        assert wrapper.backend.transactional_ddl

    def test_a_script_inside_a_block_breaks_it(self, table: Database) -> None:
        wrapper = table.wrapper()
        with pytest.raises(TransactionManagementError), wrapper.atomic():
            wrapper.cursor().executescript("SELECT 1; SELECT 2")
        assert value(table.witness(), "SELECT count(*) FROM t") == 3

    def test_the_status_is_the_drivers_own(self, database: Database) -> None:
        backend, connection = database.opened()
        assert backend.transaction_status(connection) is TransactionStatus.IDLE
        backend.begin(connection)
        assert backend.transaction_status(connection) is TransactionStatus.IN_TRANSACTION
        backend.rollback(connection)
        backend.rollback(connection)
        assert backend.transaction_status(connection) is TransactionStatus.IDLE

    def test_a_closed_connection_is_known_to_be_broken(self, any_driver: Database) -> None:
        backend, connection = any_driver.opened()
        backend.ping(connection)
        assert not backend.is_broken(connection)
        connection.close()
        assert backend.is_broken(connection)
        with pytest.raises(any_driver.driver.ProgrammingError) as caught:
            backend.ping(connection)
        assert backend.is_disconnect(caught.value)
        assert not backend.is_disconnect(any_driver.driver.ProgrammingError("near x: syntax error"))
        backend.close_connection(connection)

    def test_another_thread_can_cancel_what_runs(self, database: Database) -> None:
        running = threading.Event()

        def tell() -> int:
            running.set()
            return 1

        wrapper = database.wrapper(name=":memory:", functions=[("running", 0, tell)])
        wrapper.connect()

        def cancel() -> None:
            assert running.wait(PATIENCE)
            wrapper.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        rows = "SELECT running() UNION ALL SELECT n + 1 FROM r LIMIT 30000000"
        with pytest.raises(OperationalError, match="interrupted"):
            wrapper.cursor().execute(f"WITH RECURSIVE r (n) AS ({rows}) SELECT max(n) FROM r")
        thread.join()
        assert value(wrapper, "SELECT 1") == 1

    def test_the_server_version_is_that_of_the_library(self, any_driver: Database) -> None:
        wrapper = any_driver.wrapper(name=":memory:")
        assert ".".join(map(str, wrapper.server_version)) == value(wrapper, "SELECT sqlite_version()")

    def test_every_ability_is_declared_but_those_that_sqlite_has_not(self) -> None:
        lacking = {SupportsNamedCursor, SupportsExpiringCredentials, SupportsLeases, SupportsRenew}
        assert set(ABILITIES) - declared_abilities(SQLiteBackend) == lacking

    def test_what_it_has_not_is_refused_by_name(self, database: Database) -> None:
        with pytest.raises(NotSupportedError, match="SupportsNamedCursor"):
            database.wrapper(name=":memory:").named_cursor("c")

    def test_backends_of_equal_settings_are_equal(self, database: Database) -> None:
        one, other = (SQLiteBackend(database.settings(timeout=1)) for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)
        assert one != SQLiteBackend(database.settings(timeout=2))


class TestClosing:
    def test_a_cursor_in_the_middle_of_its_rows_holds_no_lock_after_a_close(self, any_driver: Database) -> None:
        fill(any_driver)
        wrapper = any_driver.wrapper()
        cursors = [wrapper.cursor() for _ in range(3)]
        for cursor in cursors[:2]:
            cursor.execute("SELECT a FROM t").fetchone()
        wrapper.close()
        any_driver.witness().execute("DELETE FROM t")

    def test_a_dropped_wrapper_leaves_no_lock_behind_its_cursors(self, table: Database) -> None:
        wrapper, witness = DatabaseWrapper(SQLiteBackend(table.settings())), table.witness()
        cursor = wrapper.cursor()
        cursor.execute("SELECT a FROM t").fetchone()
        assert locked(witness, "DELETE FROM t")
        del wrapper
        assert not locked(witness, "DELETE FROM t")

    def test_a_cursor_of_the_drivers_own_holds_none_either(self, table: Database) -> None:
        wrapper = table.wrapper()
        cursor = wrapper.connection.execute("SELECT a FROM t")
        cursor.fetchone()
        wrapper.close()
        table.witness().execute("DELETE FROM t")

    def test_the_cursors_of_other_connections_go_on(self, table: Database) -> None:
        one, other = table.wrapper(), table.wrapper()
        kept = other.cursor()
        kept.execute("SELECT a FROM t")
        assert kept.fetchone() == (1,)
        one.cursor().execute("SELECT a FROM t").fetchone()
        held = one.cursor()
        held.execute("SELECT a FROM t").fetchone()
        one.close()
        assert kept.fetchall() == [(2,), (3,)]

    def test_functions_collations_and_row_factory_keep_no_connection_alive(
        self, table: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Connection(sqlite3.Connection):
            """One that can be referred to weakly."""

        def noted(**params: Any) -> sqlite3.Connection:
            connection = Connection(**params)
            gone.append(weakref.ref(connection))
            return connection

        gone: list[weakref.ref[sqlite3.Connection]] = []
        install_driver(monkeypatch, "weak_driver", connect=noted)

        def function(number: int) -> int:
            return number

        settings = table.settings(
            driver="weak_driver", functions=[("f", 1, function)], collations={"c": compare}, row_factory=as_dict,
            transaction_mode="EXCLUSIVE",
        )  # fmt: skip
        function_gone = weakref.ref(function)
        del function
        witness = table.witness()
        gc.collect()
        gc.disable()
        try:
            wrapper = DatabaseWrapper(SQLiteBackend(settings))
            row = wrapper.cursor().execute("SELECT f(a) AS x FROM t ORDER BY 'a' COLLATE c").fetchone()
            assert row == {"x": 1}
            wrapper.begin_atomic(savepoint=True, durable=False)
            assert locked(witness, "SELECT a FROM t")
            del wrapper
            assert not locked(witness, "SELECT a FROM t"), "the session is closed at once"
            del settings
            # On CPython a connection sits in a cycle with the driver's statement cache, so this takes the collector.
            gc.collect()
            assert [reference() for reference in gone] == [None]
            assert function_gone() is None
        finally:
            gc.enable()


# Not the session's: they last in the file, are the whole process's, or name a folder of the process's.
NOT_OF_THE_SESSION = {
    "application_id", "user_version", "schema_version", "default_cache_size", "auto_vacuum", "page_size", "encoding",
    "soft_heap_limit", "hard_heap_limit", "temp_store_directory", "data_store_directory", "data_version",
    "freelist_count", "page_count",
}  # fmt: skip
# They are no values but reports, or do something each time they are asked for.
NO_VALUES = {
    "collation_list", "compile_options", "database_list", "foreign_key_check", "foreign_key_list", "function_list",
    "index_info", "index_list", "index_xinfo", "integrity_check", "module_list", "optimize", "pragma_list",
    "quick_check", "shrink_memory", "stats", "table_info", "table_list", "table_xinfo", "wal_checkpoint",
    "incremental_vacuum", "lock_status", "case_sensitive_like",
}  # fmt: skip


def pragmas_of_the_session() -> list[str]:
    connection = sqlite3.connect(":memory:")
    names = [name for (name,) in connection.execute("PRAGMA pragma_list")]
    connection.close()
    return sorted(set(names) - NOT_OF_THE_SESSION - NO_VALUES)


def snapshot(connection: Any) -> dict[str, list[Any]]:
    """What the session's pragmas say, and what is there that a new connection has not."""
    found = {name: query(connection, f"PRAGMA {name}") for name in pragmas_of_the_session()}
    found["databases"] = [name for _, name, _ in query(connection, "PRAGMA database_list") if name != "temp"]
    found["temporary"] = query(connection, "SELECT type, name FROM sqlite_temp_master")
    found["like"] = query(connection, "SELECT 'a' LIKE 'A'")
    return found


def write_pragma(connection: sqlite3.Connection, name: str, setting: object) -> None:
    try:
        connection.execute(f"PRAGMA {name}={setting}").fetchall()
    except sqlite3.OperationalError:
        return  # not a value that this pragma takes


SWITCHED: dict[str, list[str]] = {
    "case_sensitive_like": ["PRAGMA case_sensitive_like=1"],
    "locking_mode": ["PRAGMA locking_mode=EXCLUSIVE", "SELECT * FROM t"],
    "temporary table": ["CREATE TEMP TABLE x (a)", "INSERT INTO x VALUES (1)"],
    "temporary table over one of the file": ["CREATE TEMP TABLE t (a)"],
    "temporary tables that refer to each other": [
        "CREATE TEMP TABLE p (id INTEGER PRIMARY KEY)", "CREATE TEMP TABLE c (p REFERENCES p)",
        "INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1)",
    ],
    "temporary table with a sequence": [
        "CREATE TEMP TABLE x (a INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO x DEFAULT VALUES"
    ],
    "temporary view": ["CREATE TEMP VIEW x AS SELECT a FROM t"],
    "temporary trigger on a table of the file": [
        "CREATE TEMP TRIGGER x AFTER INSERT ON main.t BEGIN DELETE FROM t; END"
    ],
    "temporary index": ["CREATE TEMP TABLE x (a)", "CREATE INDEX temp.i ON x (a)"],
    "temporary object of an odd name": ['CREATE TEMP TABLE "a""b c" (a)', 'CREATE TEMP VIEW "v;""" AS SELECT 1'],
    "temporary virtual table": ["CREATE VIRTUAL TABLE temp.x USING fts5(a)", "INSERT INTO x VALUES ('word')"],
    "temporary storage in memory": ["PRAGMA temp_store=MEMORY", "CREATE TEMP TABLE x (a)"],
    "attached database": ["ATTACH ':memory:' AS x", "CREATE TABLE x.t (a)"],
    "attached database of an odd name": ["ATTACH ':memory:' AS \"a\"\"b c\""],
    "transaction": ["BEGIN IMMEDIATE", "DELETE FROM t"],
    "savepoint": ["SAVEPOINT x", "DELETE FROM t"],
    "deferred foreign keys": ["BEGIN", "PRAGMA defer_foreign_keys=1"],
    "read only": ["PRAGMA query_only=1"],
    "no journal": ["PRAGMA journal_mode=OFF", "DELETE FROM t WHERE a > 5"],
}  # fmt: skip

ATTRIBUTES: dict[str, Callable[[Any], object]] = {
    "row_factory": lambda c: setattr(c, "row_factory", as_dict),
    "text_factory": lambda c: setattr(c, "text_factory", bytes),
    "isolation_level": lambda c: setattr(c, "isolation_level", "EXCLUSIVE"),
    "authorizer": lambda c: c.set_authorizer(lambda *_: sqlite3.SQLITE_DENY),
    "progress handler": lambda c: (c.execute("BEGIN"), c.set_progress_handler(lambda: 1, 1)),
}


class TestReset:
    @pytest.mark.parametrize("name", pragmas_of_the_session())
    def test_every_pragma_of_the_session_is_undone(self, table: Database, name: str) -> None:
        backend, connection = table.opened()
        before = snapshot(connection)
        kinds = ["0", "1", "2", "'x'", "EXCLUSIVE", "TRUNCATE", "77"]
        for setting in kinds:
            write_pragma(connection, name, setting)
            backend.reset(connection)
            backend.init_connection_state(connection)
            assert snapshot(connection) == before, setting

    def test_most_of_those_pragmas_were_really_changed(self, table: Database) -> None:
        _, connection = table.opened()
        before, changed = snapshot(connection), set()
        for name in pragmas_of_the_session():
            for setting in ("0", "1", "2", "TRUNCATE", "77"):
                write_pragma(connection, name, setting)
                if query(connection, f"PRAGMA {name}") != before[name]:
                    changed.add(name)
        assert changed >= {
            "foreign_keys", "synchronous", "query_only", "read_uncommitted", "recursive_triggers", "busy_timeout",
            "cache_size", "cache_spill", "journal_mode", "mmap_size", "temp_store", "trusted_schema", "writable_schema",
            "wal_autocheckpoint", "max_page_count", "ignore_check_constraints", "reverse_unordered_selects",
        }  # fmt: skip

    @pytest.mark.parametrize("statements", SWITCHED.values(), ids=SWITCHED.keys())
    def test_what_a_user_did_to_the_session_is_undone(self, table: Database, statements: list[str]) -> None:
        backend, connection = table.opened()
        before = snapshot(connection)
        for statement in statements:
            if "fts5" in statement and ("ENABLE_FTS5",) not in query(connection, "PRAGMA compile_options"):
                pytest.skip("this SQLite has no FTS5")
            connection.execute(statement).fetchall()
        assert snapshot(connection) != before or connection.in_transaction
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert not connection.in_transaction
        assert snapshot(connection) == before
        assert query(connection, "SELECT a FROM t") == [(1,), (2,), (3,)]
        witness = table.witness()
        witness.execute("INSERT INTO t VALUES (4)")
        assert value(connection, "SELECT count(*) FROM t") == 4

    @pytest.mark.parametrize("change", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
    def test_what_a_user_did_to_the_connection_is_undone(
        self, table: Database, change: Callable[[Any], object]
    ) -> None:
        backend, connection = table.opened()
        change(connection)
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert connection.row_factory is None
        assert connection.text_factory is str
        assert connection.isolation_level is None
        assert not connection.in_transaction
        assert connection.execute("SELECT 'text'").fetchone() == ("text",)

    def test_a_trace_is_undone(self, database: Database) -> None:
        backend, connection = database.opened()
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        backend.reset(connection)
        seen.clear()
        connection.execute("SELECT 1").close()
        assert seen == []

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the attribute is new in Python 3.12")
    @pytest.mark.parametrize("mode", [True, False])
    def test_the_drivers_autocommit_attribute_is_undone(self, table: Database, mode: bool) -> None:
        backend, connection = table.opened()
        if mode:
            connection.execute("BEGIN")
        connection.execute("DELETE FROM t WHERE a > 5")
        cast("Any", connection).autocommit = mode
        backend.reset(connection)
        assert not connection.in_transaction
        connection.execute("INSERT INTO t VALUES (4)")
        assert value(table.witness(), "SELECT count(*) FROM t") == 4

    @pytest.mark.parametrize("autocommit", [True, False])
    def test_autocommit_is_again_that_of_the_settings(self, table: Database, autocommit: bool) -> None:
        backend, connection = table.opened(autocommit=autocommit)
        backend.set_autocommit(connection, not autocommit)
        connection.execute("INSERT INTO t VALUES (4)")
        connection.commit()
        backend.reset(connection)
        connection.execute("INSERT INTO t VALUES (5)")
        assert connection.in_transaction is not autocommit
        connection.rollback()

    def test_uncommitted_work_is_lost(self, table: Database) -> None:
        backend, connection = table.opened(autocommit=False)
        connection.execute("DELETE FROM t")
        backend.reset(connection)
        assert value(table.witness(), "SELECT count(*) FROM t") == 3

    @pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
    def test_a_cursor_in_the_middle_of_its_rows_keeps_neither_lock_nor_snapshot(
        self, table: Database, journal_mode: str
    ) -> None:
        backend, connection = table.opened(journal_mode=journal_mode)
        cursor = connection.execute("SELECT a FROM t")
        cursor.fetchone()
        backend.reset(connection)
        backend.init_connection_state(connection)
        witness = table.witness()
        witness.execute("INSERT INTO t VALUES (4)")
        assert value(connection, "SELECT count(*) FROM t") == 4
        with pytest.raises(sqlite3.ProgrammingError):
            cursor.fetchone()

    def test_a_bare_cursor_is_ended_where_it_can_be_found_and_else_the_session_is_not_passed_on(
        self, any_driver: Database
    ) -> None:
        fill(any_driver)
        backend, connection = any_driver.opened()
        cursor = connection.execute("SELECT a FROM t")
        cursor.fetchone()
        if any_driver.driver is sqlite3:
            backend.reset(connection)
            any_driver.witness().execute("DELETE FROM t")
        else:
            with pytest.raises(any_driver.driver.OperationalError, match="in the middle of its rows"):
                backend.reset(connection)
        cursor.close()
        backend.reset(connection)

    def test_a_session_that_cannot_be_freed_of_its_lock_is_not_passed_on(self, table: Database) -> None:
        table.opened(journal_mode="WAL")[1].close()
        backend, connection = table.opened()
        connection.close()
        connection = backend.get_new_connection(backend.get_connection_params())
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        connection.execute("INSERT INTO t VALUES (4)")
        try:
            with pytest.raises(sqlite3.OperationalError, match="locking_mode EXCLUSIVE cannot be left"):
                backend.reset(connection)
        finally:
            connection.close()

    def test_a_lock_that_the_settings_ask_for_is_kept(self, table: Database) -> None:
        backend, connection = table.opened(journal_mode="WAL", pragmas={"LOCKING_MODE": "EXCLUSIVE"})
        connection.execute("INSERT INTO t VALUES (4)")
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert locked(table.witness(), "SELECT a FROM t")

    def test_the_options_of_the_settings_hold_again(self, table: Database) -> None:
        options: dict[str, Any] = {
            "foreign_keys": False, "synchronous": "OFF", "journal_mode": "PERSIST", "timeout": 1.25,
            "pragmas": {"cache_size": 33, "recursive_triggers": 1, "locking_mode": "NORMAL", "query_only": 1},
            "row_factory": as_dict,
        }  # fmt: skip
        backend, connection = table.opened(**options)
        before = snapshot(connection)
        assert (before["cache_size"], before["busy_timeout"], before["journal_mode"]) == (
            [(33,)],
            [(1250,)],
            [("persist",)],
        )
        connection.executescript(
            "PRAGMA query_only=0; PRAGMA foreign_keys=1; PRAGMA synchronous=2; PRAGMA journal_mode=OFF;"
            "PRAGMA busy_timeout=7; PRAGMA cache_size=44; PRAGMA recursive_triggers=0"
        )
        connection.row_factory = None
        assert snapshot(connection) != before
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert snapshot(connection) == before
        assert connection.row_factory is as_dict

    def test_functions_and_collations_of_the_settings_are_there_again(self, database: Database) -> None:
        backend, connection = database.opened(
            name=":memory:",
            functions=[("like", 2, lambda *_: "ours"), ("f", 0, lambda: "ours")],
            collations={"c": compare},
        )
        connection.create_function("f", 0, lambda: "theirs")
        connection.create_collation("c", lambda a, b: compare(b, a))
        connection.execute("PRAGMA case_sensitive_like=1").close()
        backend.reset(connection)
        assert query(connection, "SELECT f(), 'a' LIKE 'b'") == [("ours", "ours")]
        assert query(connection, "SELECT * FROM (VALUES ('b'), ('a')) ORDER BY 1 COLLATE c") == [("a",), ("b",)]

    def test_like_may_be_in_an_index_after_it_as_before(self, any_driver: Database) -> None:
        backend, connection = any_driver.opened()
        connection.execute("CREATE TABLE names (name TEXT)").close()
        backend.reset(connection)
        connection.execute("CREATE INDEX short ON names (name) WHERE name LIKE 'a%'").close()
        assert query(connection, "PRAGMA index_list(names)")[0][1] == "short"

    def test_it_may_be_repeated_and_a_new_connection_needs_none(self, any_driver: Database) -> None:
        backend, connection = any_driver.opened(journal_mode="WAL", pragmas={"cache_size": 5})
        before = snapshot(connection)
        for _ in range(3):
            backend.reset(connection)
            backend.init_connection_state(connection)
            assert snapshot(connection) == before

    @pytest.mark.parametrize("name", [":memory:", "file::memory:"])
    def test_a_memory_database_is_reset_too_and_keeps_its_tables(self, database: Database, name: str) -> None:
        backend, connection = database.opened(name=name)
        before = snapshot(connection)
        connection.executescript("CREATE TABLE t (a); CREATE TEMP TABLE u (a); PRAGMA journal_mode=OFF")
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert snapshot(connection) == before
        assert query(connection, "SELECT name FROM sqlite_master") == [("t",)]

    def test_a_read_only_session_is_reset_too(self, table: Database) -> None:
        backend, connection = table.opened(read_only=True)
        connection.executescript("PRAGMA query_only=0; PRAGMA cache_size=5; CREATE TEMP TABLE u (a)")
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert snapshot(connection) == snapshot(table.opened(read_only=True)[1])
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM t")

    def test_a_closed_connection_cannot_be_reset(self, database: Database) -> None:
        backend, connection = database.opened()
        connection.close()
        with pytest.raises(sqlite3.ProgrammingError):
            backend.reset(connection)


class AuditOptions(SQLiteOptions, frozen=True):
    application: str = "unknown"


class AuditSettings(SQLiteSettings, frozen=True):
    engine: str = "tests.reference.test_sqlite3:AuditSQLite"
    options: AuditOptions = AuditOptions()


SettingsT = TypeVar("SettingsT", bound=AuditSettings, default=AuditSettings)


class AuditSQLite(SQLiteBackend[SettingsT]):
    """As a third party would write it: options of its own, and what they do to a connection."""

    @override
    def configure_connection(self, connection: sqlite3.Connection, /) -> None:
        super().configure_connection(connection)
        application = self.settings.options.application
        connection.create_function("application", 0, lambda: application)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        super().init_connection_state(connection)
        self.execute_statement(connection, "CREATE TEMP TABLE IF NOT EXISTS audit (what)")


class TestSubclassing:
    def test_a_subclass_with_settings_of_its_own_works_from_a_mapping(self, table: Database) -> None:
        backend = make_backend(
            {"ENGINE": "tests.reference.test_sqlite3:AuditSQLite", "NAME": str(table.path),
             "OPTIONS": {"application": "billing", "timeout": 3, "functions": [("one", 0, lambda: 1)]}}
        )  # fmt: skip
        wrapper = DatabaseWrapper(backend)
        assert query(wrapper, "SELECT application(), one(), count(*) FROM audit") == [("billing", 1, 0)]
        assert value(wrapper, "PRAGMA busy_timeout") == 3000
        wrapper.close()

    def test_its_options_are_typed_and_named_in_refusals(self) -> None:
        with pytest.raises(
            ImproperlyConfigured, match=r"unknown key 'OPTIONS\.aplication'; did you mean 'application'"
        ):
            AuditSettings.from_mapping({"NAME": "x", "OPTIONS": {"aplication": "billing"}})
        with pytest.raises(ImproperlyConfigured, match="NAME is missing"):
            AuditSettings()

    def test_settings_that_name_their_engine_are_enough(self) -> None:
        settings = AuditSettings(name=":memory:", options=AuditOptions(application="x"))
        backend = make_backend(settings)
        assert type(backend) is AuditSQLite
        assert backend.settings == settings

    def test_a_session_is_reset_and_brought_up_again_as_the_subclass_has_it(self, table: Database) -> None:
        backend = AuditSQLite(AuditSettings(name=str(table.path)))
        connection = backend.get_new_connection(backend.get_connection_params())
        backend.configure_connection(connection)
        backend.init_connection_state(connection)
        connection.execute("INSERT INTO audit VALUES ('x')")
        backend.reset(connection)
        backend.init_connection_state(connection)
        assert query(connection, "SELECT application(), count(*) FROM audit") == [("unknown", 0)]
        backend.close_connection(connection)

    def test_the_settings_class_and_the_abilities_are_inherited(self) -> None:
        class Plain(AuditSQLite): ...

        assert AuditSQLite.settings_class is AuditSettings
        assert Plain.settings_class is AuditSettings
        assert declared_abilities(Plain) == declared_abilities(SQLiteBackend)

    def test_the_vendor_is_inherited_until_it_is_said_anew(self) -> None:
        class Spatial(SQLiteBackend, vendor="spatialite"): ...

        class Nearer(Spatial): ...

        assert (AuditSQLite.vendor, Spatial.vendor, Nearer.vendor) == ("sqlite", "spatialite", "spatialite")

    def test_a_subclass_is_another_backend(self) -> None:
        settings = AuditSettings(name="x")
        assert AuditSQLite(settings) != SQLiteBackend(settings)
