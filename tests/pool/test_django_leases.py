"""Leases of Django's wrappers: what comes back, when, in which state, and what does not."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.fakes import PATIENCE
from tests.pool.django_support import Database, database, execute, pool_of, scalar

from django.core.exceptions import ImproperlyConfigured  # isort: skip  # configured above
from django.db import connections, transaction, utils  # isort: skip

WRAPS = ("sqlite3", "postgresql", "mysql")

atomic: Any = transaction.atomic


@pytest.fixture(params=WRAPS)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database(request.param, tmp_path, request.getfixturevalue) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    with database("sqlite3", tmp_path, str) as made:
        yield made


@pytest.fixture
def postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database("postgresql", tmp_path, request.getfixturevalue) as made:
        yield made


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_thread(work: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(PATIENCE)
    assert found, "the thread has failed, or hangs"
    return found[0]


def settled(wrapper: Any, **want: int) -> bool:
    """Whether the pool's own upkeep brings its statistics to what is wanted."""
    pause = threading.Event()  # never set
    for _ in range(int(PATIENCE * 20)):
        now = pool_of(wrapper).statistics()
        if all(getattr(now, name) == value for name, value in want.items()):
            return True
        pause.wait(0.05)
    return False


class TestHandingOn:
    def test_a_closed_wrapper_s_connection_serves_the_next_under_any_alias(self, db: Database) -> None:
        first, second = db.wrapper(), db.wrapper("other")
        first.ensure_connection()
        held = first.connection
        first.close()
        assert first.connection is None
        second.ensure_connection()
        assert second.connection is held
        assert pool_of(first) is pool_of(second)

    def test_two_wrappers_have_two_connections(self, db: Database) -> None:
        first, second = db.wrapper(), db.wrapper("other")
        first.ensure_connection()
        second.ensure_connection()
        assert first.connection is not second.connection

    def test_conn_max_age_keeps_the_lease_between_requests(self, file: Database) -> None:
        file.settings["CONN_MAX_AGE"] = None
        wrapper = file.wrapper()
        wrapper.ensure_connection()
        wrapper.close_if_unusable_or_obsolete()
        assert pool_of(wrapper).statistics().leased == 1
        file.settings["CONN_MAX_AGE"] = 0
        wrapper = file.wrapper()
        wrapper.ensure_connection()
        wrapper.close_if_unusable_or_obsolete()
        assert wrapper.connection is None

    def test_what_was_left_of_a_transaction_is_rolled_back(self, db: Database) -> None:
        leaver = db.wrapper()
        execute(leaver, "CREATE TABLE note (id INTEGER)")
        leaver.set_autocommit(False)
        execute(leaver, "INSERT INTO note VALUES (1)")
        leaver.close()
        following = db.wrapper()
        assert scalar(following, "SELECT count(*) FROM note") == 0
        assert following.get_autocommit() is True

    def test_a_temporary_table_is_not_handed_on(self, db: Database) -> None:
        leaver = db.wrapper()
        execute(leaver, "CREATE TEMPORARY TABLE mine (id INTEGER)")
        held = leaver.connection
        leaver.close()
        following = db.wrapper()
        with pytest.raises(utils.DatabaseError):
            execute(following, "SELECT * FROM mine")
        assert following.connection is held

    def test_trusted_leaves_the_session_and_not_the_transaction(self, db: Database) -> None:
        leaver = db.wrapper(pool={"reset": "trusted"})
        execute(leaver, "CREATE TABLE note (id INTEGER)")
        execute(leaver, "CREATE TEMPORARY TABLE mine (id INTEGER)")
        leaver.set_autocommit(False)
        execute(leaver, "INSERT INTO note VALUES (1)")
        leaver.close()
        following = db.wrapper(pool={"reset": "trusted"})
        assert scalar(following, "SELECT count(*) FROM mine") == 0
        assert scalar(following, "SELECT count(*) FROM note") == 0


class TestWhatDjangoSetsAtTheOpenSurvivesAReset:
    def test_sqlite_s_pragmas_and_init_command(self, file: Database) -> None:
        import django

        options: dict[str, Any] = (
            {} if django.get_version() < "5.1" else {"init_command": "PRAGMA cache_size=77; PRAGMA synchronous=0"}
        )
        wrapper = file.wrapper(timeout=3, **options)
        for statement in ("foreign_keys=0", "cache_size=5", "synchronous=2", "busy_timeout=1", "legacy_alter_table=1"):
            execute(wrapper, f"PRAGMA {statement}")
        wrapper.close()
        following = file.wrapper(timeout=3, **options)
        names = ("foreign_keys", "busy_timeout", "legacy_alter_table", "cache_size", "synchronous")
        wanted = (1, 3000, 0, 77, 0) if options else (1, 3000, 0)
        assert tuple(scalar(following, f"PRAGMA {name}") for name in names)[: len(wanted)] == wanted
        assert scalar(following, "SELECT django_date_extract('year', '2020-01-01')") == 2020

    def test_psycopg_s_cursors_and_isolation(self, postgresql: Database) -> None:
        from psycopg import Cursor, IsolationLevel
        from psycopg.rows import dict_row
        from psycopg.types.string import TextLoader

        options: dict[str, Any] = {"isolation_level": IsolationLevel.SERIALIZABLE, "prepare_threshold": 0}
        wrapper = postgresql.wrapper(**options)
        wrapper.ensure_connection()
        before = wrapper.connection.cursor_factory
        assert before is not Cursor
        wrapper.connection.cursor_factory = Cursor
        wrapper.connection.row_factory = dict_row
        wrapper.connection.isolation_level = None
        wrapper.connection.prepared_max = 1
        wrapper.connection.adapters.register_loader("int4", TextLoader)
        for setting in ("search_path TO pg_catalog", "TIME ZONE 'Asia/Tokyo'", "application_name TO 'mine'"):
            execute(wrapper, f"SET {setting}")
        execute(wrapper, "LISTEN something")
        execute(wrapper, "SELECT pg_advisory_lock(7)")
        wrapper.close()
        following = postgresql.wrapper(**options)
        following.ensure_connection()
        assert following.isolation_level == IsolationLevel.SERIALIZABLE  # what the engine noted when it opened
        assert following.connection.cursor_factory is before
        assert following.connection.isolation_level == IsolationLevel.SERIALIZABLE
        assert following.connection.prepared_max == 100
        assert scalar(following, "SELECT 1") == 1
        assert scalar(following, "SHOW search_path") == '"$user", public'
        assert scalar(following, "SHOW TimeZone") == following.timezone_name
        assert scalar(following, "SELECT count(*) FROM pg_listening_channels()") == 0
        assert scalar(following, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0

    def test_the_client_s_prepared_statements_stay_true(self, postgresql: Database) -> None:
        options: dict[str, Any] = {"server_side_binding": True, "prepare_threshold": 0}
        for _ in range(3):
            wrapper = postgresql.wrapper(**options)
            with wrapper.cursor() as cursor:
                cursor.execute("SELECT %s::int", [5])
                assert cursor.fetchone() == (5,)
            assert scalar(wrapper, "SELECT count(*) FROM pg_prepared_statements") > 0
            wrapper.close()

    def test_a_role_is_assumed_anew_and_nobody_else_s(self, postgresql: Database) -> None:
        admin = postgresql.wrapper("admin")
        name = f"role_{os.urandom(4).hex()}"
        execute(admin, f"CREATE ROLE {name}")
        admin.close()
        wrapper = postgresql.wrapper(assume_role=name)
        for _ in range(2):
            assert scalar(wrapper, "SELECT current_user") == name
            wrapper.close()
        plain = postgresql.wrapper()
        assert scalar(plain, "SELECT current_user") != name
        assert pool_of(plain) is not pool_of(wrapper)
        wrapper.close()
        pool_of(wrapper).close()
        execute(plain, f"DROP ROLE {name}")

    @pytest.mark.parametrize("db", ["mysql"], indirect=True)
    def test_mysql_s_character_set_variables_and_init_command(self, db: Database) -> None:
        options: dict[str, Any] = {"init_command": "SET @mine = 7", "sql_mode": "ANSI_QUOTES"}
        wrapper = db.wrapper(**options)
        characters = scalar(wrapper, "SELECT @@character_set_client")
        for statement in ("SET @mine = 1, @other = 2", "SET sql_mode = ''", "SET NAMES latin1", "USE mysql"):
            execute(wrapper, statement)
        held = wrapper.connection
        held.set_character_set("latin1")
        wrapper.close()
        following = db.wrapper(**options)
        assert scalar(following, "SELECT @mine") == 7
        assert following.connection is held
        assert scalar(following, "SELECT @other") is None
        assert scalar(following, "SELECT @@character_set_client") == characters
        assert scalar(following, "SELECT 'tűrő'") == "tűrő"
        assert "ANSI_QUOTES" in scalar(following, "SELECT @@sql_mode")
        assert scalar(following, "SELECT DATABASE()") == db.settings["NAME"]
        isolation = "tx_isolation" if following.mysql_is_mariadb else "transaction_isolation"
        assert scalar(following, f"SELECT @@{isolation}") == "READ-COMMITTED"


class TestGIS:
    def test_postgis_s_adapters_serve_each_lease(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        try:
            from django.contrib.gis.db.backends.postgis.adapter import PostGISAdapter
            from django.contrib.gis.geos import Point
        except ImproperlyConfigured as error:
            pytest.skip(f"Django's GIS needs libraries of the system: {error}")
        with database("postgis", tmp_path, request.getfixturevalue) as db:
            first = db.wrapper()
            try:
                first.prepare_database()
            except utils.OperationalError as error:
                pytest.skip(f"PostGIS is not installed on the server (make services): {error}")
            assert first.features.gis_enabled
            held, wrapper = first.connection, db.wrapper()
            for _ in range(2):
                with wrapper.cursor() as cursor:
                    cursor.execute("SELECT ST_AsText(%s)", [PostGISAdapter(Point(1, 2))])
                    assert cursor.fetchone() == ("POINT(1 2)",)
                wrapper.close()
            first.close()
            wrapper.ensure_connection()
            assert wrapper.connection is held


class TestTheEndOfALease:
    def test_a_dead_thread_s_slot_comes_back_without_the_collector(self, db: Database, no_collector: None) -> None:
        # Held here, so that the thread's own local storage does not drop it: its death alone must do.
        kept = [in_thread(lambda: _connected(db.wrapper(pool={"max_size": 2}))) for _ in range(4)]
        assert settled(kept[0], leased=0)
        assert [wrapper.connection for wrapper in kept] == [None] * 4
        assert pool_of(kept[0]).statistics().opened <= 2

    def test_a_dead_thread_s_session_is_closed_and_not_touched_while_somebody_holds_it(self, db: Database) -> None:
        """As in Django's own ThreadSharing test, which closes the connections of threads that have ended."""
        before = db.wrapper()
        held = in_thread(lambda: _connected(db.wrapper()).connection)
        assert settled(before, leased=0, size=0)
        with pytest.raises((before.Database.Error, AttributeError)):  # PyMySQL's own is the latter
            held.cursor().execute("SELECT 1")

    def test_a_dropped_wrapper_s_slot_comes_back_at_the_next_collection(self, db: Database) -> None:
        observer = db.wrapper()
        pool = pool_of(observer)
        _connected(db.wrapper())
        db.made.clear()
        del connections["default"]
        gc.collect()
        assert pool.statistics().leased == 0
        db.made.append(observer)

    def test_a_wrapper_lent_to_a_thread_keeps_its_connection_when_the_thread_ends(self, file: Database) -> None:
        wrapper = file.wrapper()
        wrapper.inc_thread_sharing()
        held = in_thread(lambda: _connected(wrapper).connection)
        wrapper.dec_thread_sharing()
        pool_of(wrapper).upkeep()
        pool_of(wrapper).upkeep()
        assert wrapper.connection is held
        assert scalar(wrapper, "SELECT 1") == 1

    def test_a_wrapper_that_is_shared_outlives_the_thread_that_made_it(self, file: Database) -> None:
        def made_and_shared() -> Any:
            wrapper = _connected(file.wrapper())
            wrapper.inc_thread_sharing()
            return wrapper

        wrapper = in_thread(made_and_shared)
        pool_of(wrapper).upkeep()
        pool_of(wrapper).upkeep()
        assert scalar(wrapper, "SELECT 1") == 1
        wrapper.dec_thread_sharing()
        pool_of(wrapper).upkeep()
        assert wrapper.connection is None

    def test_a_cursor_held_over_the_end_is_refused(self, db: Database) -> None:
        leaver = db.wrapper()
        held = leaver.cursor()
        held.execute("SELECT 1")
        held.fetchall()
        leaver.close()
        following = _connected(db.wrapper("other"))
        with pytest.raises(utils.Error):
            held.execute("SELECT 2")
        assert scalar(following, "SELECT 1") == 1

    def test_closing_in_a_block_ends_the_session_and_the_block(self, db: Database) -> None:
        wrapper = db.wrapper()
        execute(wrapper, "CREATE TABLE note (id INTEGER)")
        pool = pool_of(wrapper)

        def block() -> None:
            with atomic():
                execute(wrapper, "INSERT INTO note VALUES (1)")
                wrapper.close()
                assert pool.statistics().leased == 0
                execute(wrapper, "INSERT INTO note VALUES (2)")

        with pytest.raises(utils.Error):
            block()
        assert pool.statistics().size == 0
        assert scalar(wrapper, "SELECT count(*) FROM note") == 0

    def test_an_initialization_that_fails_keeps_no_connection(self, postgresql: Database) -> None:
        wrapper = postgresql.wrapper(assume_role="nobody_here")
        for _ in range(15):  # more often than there are slots
            with pytest.raises(utils.DatabaseError, match="nobody_here"):
                wrapper.ensure_connection()
            assert wrapper.connection is None
        assert pool_of(wrapper).statistics().leased == 0

    def test_one_that_is_too_old_is_closed_when_it_comes_back(self, db: Database) -> None:
        wrapper = _connected(db.wrapper(pool={"max_lifetime": 1e-9}))
        held = wrapper.connection
        wrapper.close()
        assert pool_of(wrapper).statistics().size == 0
        wrapper.ensure_connection()
        assert wrapper.connection is not held

    def test_one_whose_session_has_ended_is_not_handed_on(self, db: Database) -> None:
        wrapper = _connected(db.wrapper())
        wrapper.connection.close()
        wrapper.close()
        assert scalar(wrapper, "SELECT 1") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
class TestFork:
    def test_a_child_with_an_inherited_lease_opens_its_own(self, db: Database) -> None:
        wrapper = _connected(db.wrapper())
        held, cursor = wrapper.connection, wrapper.cursor()

        def child() -> None:
            with pytest.raises(utils.InterfaceError, match="parent process"):
                cursor.execute("SELECT 1")
            assert wrapper.connection is None
            assert scalar(wrapper, "SELECT 1") == 1
            assert wrapper.connection is not held
            wrapper.close()
            assert pool_of(wrapper).statistics().idle == 1

        _in_child(child)
        assert wrapper.connection is held
        assert scalar(wrapper, "SELECT 1") == 1

    def test_in_a_block_the_child_s_block_is_broken_and_the_parent_s_goes_on(self, db: Database) -> None:
        wrapper = db.wrapper()
        execute(wrapper, "CREATE TABLE note (id INTEGER)")

        def child() -> None:
            with pytest.raises(utils.Error):
                execute(wrapper, "INSERT INTO note VALUES (2)")

        with atomic():
            execute(wrapper, "INSERT INTO note VALUES (1)")
            _in_child(child)
            assert wrapper.in_atomic_block
        assert scalar(wrapper, "SELECT sum(id) FROM note") == 1


def _connected(wrapper: Any) -> Any:
    wrapper.ensure_connection()
    return wrapper


def _in_child(work: Any) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
