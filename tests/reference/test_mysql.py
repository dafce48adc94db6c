"""The MySQL backend, on MariaDB: options, cursors, transactions, reset, and what fails."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pymysql
import pytest

from backend_sdk import (
    DatabaseError,
    DatabaseWrapper,
    ImproperlyConfigured,
    IntegrityError,
    OperationalError,
    SupportsTransactionalDDL,
    ThreadSharingError,
    TransactionManagementError,
    TransactionStatus,
    declared_abilities,
)
from conformance.servers.mysql import MySQLServer
from conformance.servers.process import free_port, wait_until
from reference_backends.mysql import MySQLBackend, MySQLCursor, MySQLSettings
from tests.servers.proxy import Proxy, SilentServer

if TYPE_CHECKING:
    from reference_backends.mysql import Connection

    Wrapper = DatabaseWrapper[Connection, MySQLCursor]

SECRET = "hunter2/secret"


class Account:
    """One test's own database and user on the shared server, so that its sessions can be counted."""

    def __init__(self, url: str) -> None:
        self.name = f"t{uuid4().hex[:24]}"
        self.root: Wrapper = DatabaseWrapper(MySQLBackend(MySQLSettings.from_url(url)))
        self.settings = MySQLSettings.from_url(url).derive(user=self.name, password=SECRET, name=self.name)
        self.run(
            f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4",
            f"CREATE USER {self.name}@'%' IDENTIFIED BY '{SECRET}'",
            f"GRANT ALL ON {self.name}.* TO {self.name}@'%'",
        )

    def run(self, *statements: str) -> Any:
        with self.root.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def sessions(self) -> int:
        query = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{self.name}'"
        return int(self.run(query)[0][0])

    def assert_sessions(self, number: int) -> None:
        """The server needs a moment to notice that a client has gone."""
        wait_until(lambda: True if self.sessions() == number else None, f"{number} sessions", timeout=10)

    def close(self) -> None:
        self.run(f"DROP USER {self.name}@'%'", f"DROP DATABASE {self.name}")
        self.root.close()


@pytest.fixture
def account(mysql_url: str) -> Iterator[Account]:
    made = Account(mysql_url)
    yield made
    made.close()


@pytest.fixture
def open_with(account: Account) -> Iterator[Callable[..., Wrapper]]:
    made: list[Wrapper] = []

    def make(*, options: dict[str, object] | None = None, **changes: object) -> Wrapper:
        wrapper = DatabaseWrapper(MySQLBackend(account.settings.derive(options=options or {}, **changes)))
        made.append(wrapper)
        return wrapper

    yield make
    for wrapper in made:
        wrapper.close()


@pytest.fixture
def wrapper(open_with: Callable[..., Wrapper]) -> Wrapper:
    return open_with()


def run(wrapper: Wrapper, *statements: str) -> None:
    for statement in statements:
        with wrapper.cursor() as cursor:
            cursor.execute(statement)


def value(wrapper: Wrapper, query: str) -> object:
    with wrapper.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None


# Options


@pytest.mark.parametrize(
    ("changes", "expression", "expected"),
    [
        ({"options": {"sql_mode": "STRICT_ALL_TABLES"}}, "@@sql_mode", "STRICT_ALL_TABLES"),
        ({"options": {"isolation_level": "READ-COMMITTED"}}, "@@tx_isolation", "READ-COMMITTED"),
        ({"options": {"lock_wait_timeout": 7}}, "@@innodb_lock_wait_timeout", 7),
        ({"options": {"read_only": True}}, "@@tx_read_only", 1),
        ({"options": {"session_variables": {"wait_timeout": 77, "foreign_key_checks": False}}}, "@@wait_timeout", 77),
        ({"options": {"session_variables": {"foreign_key_checks": False}}}, "@@foreign_key_checks", 0),
        ({"options": {"init_command": "SET @mine = 'it''s'"}}, "@mine", "it's"),
        ({"options": {"collation": "utf8mb4_bin"}}, "@@collation_connection", "utf8mb4_bin"),
        ({"options": {"charset": "latin1"}}, "@@character_set_client", "latin1"),
        ({}, "@@character_set_client", "utf8mb4"),
        ({"time_zone": "+05:30"}, "@@time_zone", "+05:30"),
        ({"autocommit": False}, "@@autocommit", 0),
    ],
)
def test_option_holds_at_the_start_and_after_a_reset(
    open_with: Callable[..., Wrapper], changes: dict[str, object], expression: str, expected: object
) -> None:
    wrapper = open_with(**changes)
    assert value(wrapper, f"SELECT {expression}") == expected
    wrapper.backend.reset(wrapper.connection)
    wrapper.backend.init_connection_state(wrapper.connection)
    assert value(wrapper, f"SELECT {expression}") == expected


def test_text_of_four_bytes_goes_there_and_back(wrapper: Wrapper) -> None:
    run(wrapper, "CREATE TABLE t (name varchar(9))")
    with wrapper.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", ["\N{SNAKE}"])
        cursor.execute("SELECT name, char_length(name), length(name) FROM t")
        assert cursor.fetchall() == (("\N{SNAKE}", 1, 4),)


def test_init_command_leaves_no_transaction_open(open_with: Callable[..., Wrapper], account: Account) -> None:
    account.run(f"CREATE TABLE {account.name}.t (id int)")
    wrapper = open_with(autocommit=False, options={"init_command": "INSERT INTO t VALUES (1)"})
    assert wrapper.backend.transaction_status(wrapper.connection) is TransactionStatus.IDLE
    assert account.run(f"SELECT count(*) FROM {account.name}.t") == ((1,),)


def test_every_connection_option_reaches_the_driver() -> None:
    options = {
        "charset": "utf8mb4", "collation": "utf8mb4_bin", "connect_timeout": 3.0, "read_timeout": 4.0,
        "write_timeout": 5.0, "bind_address": "127.0.0.1", "program_name": "p", "local_infile": True,
        "max_allowed_packet": 4096, "ssl_disabled": False, "ssl_ca": "/a", "ssl_cert": "/c", "ssl_key": "/k",
        "ssl_key_password": "s3cret", "ssl_verify_cert": True, "ssl_verify_identity": False,
    }  # fmt: skip
    mapping = {"NAME": "d", "USER": "u", "PASSWORD": "p", "HOST": "/run/socket", "OPTIONS": options}
    settings = MySQLSettings.from_mapping(mapping)
    assert MySQLBackend(settings).get_connection_params() == {
        **options, "database": "d", "user": "u", "password": "p", "unix_socket": "/run/socket", "autocommit": None,
    }  # fmt: skip
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"HOST": "a,b"}, "several servers"),
        ({"HOST": "/s", "OPTIONS": {"unix_socket": "/s"}}, "keep one"),
        ({"OPTIONS": {"chrset": "utf8"}}, "did you mean 'charset'"),
        ({"OPTIONS": {"charset": "utf8; DROP"}}, "not the name of a character set"),
        ({"OPTIONS": {"session_variables": {"a = 1, b": 1}}}, "not the name of a variable"),
        ({"OPTIONS": {"isolation_level": "chaos"}}, "isolation_level"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        MySQLSettings.from_mapping({"NAME": "d", **changes})


def test_socket_path_as_host_connects(make_mysql: Callable[..., MySQLServer]) -> None:
    server = make_mysql()
    settings = MySQLSettings.from_url(server.url()).derive(host=str(server.socket), port=None)
    wrapper: Wrapper = DatabaseWrapper(MySQLBackend(settings))
    assert value(wrapper, "SELECT 1") == 1
    wrapper.close()


# Cursors


def test_named_cursor_reads_rows_from_the_server_as_they_are_fetched(wrapper: Wrapper) -> None:
    with wrapper.named_cursor("n") as cursor:
        cursor.execute("SELECT seq FROM seq_1_to_100000")
        assert cursor.fetchone() == (1,)
        assert next(iter(cursor)) == (2,)
        assert list(cursor.fetchmany(2)) == [(3,), (4,)]
        assert not wrapper.backend.is_broken(wrapper.connection)  # what can be read are the rows
    assert value(wrapper, "SELECT 7") == 7


def test_named_cursor_dropped_half_read_is_in_nobodys_way(wrapper: Wrapper) -> None:
    cursor = wrapper.named_cursor("n")
    cursor.execute("SELECT seq FROM seq_1_to_1000")
    assert cursor.fetchone() == (1,)
    del cursor
    assert value(wrapper, "SELECT 7") == 7


def test_named_cursor_survives_its_wrapper_in_silence(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with()
    cursor = wrapper.named_cursor("n")
    cursor.execute("SELECT seq FROM seq_1_to_100000")
    wrapper.close()
    cursor.close()
    del cursor


def test_procedure_with_several_results_is_read_to_its_end(wrapper: Wrapper) -> None:
    run(wrapper, "CREATE PROCEDURE p (a int) BEGIN SELECT a; SELECT a + 1; END")
    with wrapper.cursor() as cursor:
        cursor.callproc("p", [1])
        assert cursor.fetchall() == ((1,),)
        assert cursor.nextset()
        assert cursor.fetchall() == ((2,),)


@pytest.mark.parametrize("method", ["callproc", "nextset", "close"])
def test_driver_methods_are_refused_to_other_threads(wrapper: Wrapper, method: str) -> None:
    cursor = wrapper.cursor()
    caught: list[BaseException] = []

    def use() -> None:
        try:
            getattr(cursor, method)(*(["p"] if method == "callproc" else []))
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(caught[0], ThreadSharingError)


def test_errors_are_ours(wrapper: Wrapper) -> None:
    run(wrapper, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with pytest.raises(IntegrityError, match="execute on 'default'") as caught:
        run(wrapper, "INSERT INTO t VALUES (1)")
    assert isinstance(caught.value.__cause__, pymysql.err.IntegrityError)


# Transactions


def test_savepoints_undo_the_inner_block_alone(wrapper: Wrapper) -> None:
    run(wrapper, "CREATE TABLE t (id int)")
    with wrapper.atomic():
        run(wrapper, "INSERT INTO t VALUES (1)")
        with pytest.raises(DatabaseError), wrapper.atomic():
            run(wrapper, "INSERT INTO t VALUES (2)", "no such statement")
    assert value(wrapper, "SELECT group_concat(id) FROM t") == "1"


def test_ddl_commits_by_itself_which_breaks_the_block_and_is_not_declared(wrapper: Wrapper) -> None:
    assert SupportsTransactionalDDL not in declared_abilities(MySQLBackend)

    def use() -> None:
        with wrapper.atomic():
            run(wrapper, "CREATE TABLE t (id int)")

    with pytest.raises(TransactionManagementError, match="ended the block's transaction by itself"):
        use()
    assert value(wrapper, "SELECT count(*) FROM t") == 0


def test_deadlock_breaks_the_block_whose_transaction_it_ended(wrapper: Wrapper, account: Account) -> None:
    run(wrapper, "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    other_has_its_row, ours_waits = threading.Event(), threading.Event()
    victims: list[str] = []
    refused: list[bool] = []

    def cross(mine: Wrapper, name: str, rows: tuple[int, int], ready: threading.Event, go: threading.Event) -> None:
        try:
            with mine.atomic():
                run(mine, f"UPDATE t SET n = 1 WHERE id = {rows[0]}")
                ready.set()
                assert go.wait(10)
                try:
                    run(mine, f"UPDATE t SET n = 1 WHERE id = {rows[1]}")
                except OperationalError:
                    victims.append(name)
                    with pytest.raises(TransactionManagementError):
                        run(mine, "SELECT 1")
                    refused.append(True)
        except TransactionManagementError:
            pass

    def theirs() -> None:
        their_wrapper: Wrapper = DatabaseWrapper(MySQLBackend(account.settings))
        cross(their_wrapper, "theirs", (2, 1), other_has_its_row, ours_waits)
        their_wrapper.close()

    thread = threading.Thread(target=theirs)
    thread.start()
    cross(wrapper, "ours", (1, 2), ours_waits, other_has_its_row)
    thread.join()
    assert len(victims) == 1
    assert refused == [True]


def test_read_only_session_refuses_writes_and_takes_them_again(wrapper: Wrapper) -> None:
    run(wrapper, "CREATE TABLE t (id int)")
    wrapper.set_read_only(True)
    with pytest.raises(DatabaseError, match="READ ONLY"):
        run(wrapper, "INSERT INTO t VALUES (1)")
    wrapper.set_read_only(False)
    run(wrapper, "INSERT INTO t VALUES (1)")


def test_cancel_ends_the_statement_and_not_the_session(wrapper: Wrapper, account: Account) -> None:
    session = value(wrapper, "SELECT connection_id()")

    def cancel() -> None:
        running = f"SELECT 1 FROM information_schema.processlist WHERE id = {session} AND info LIKE 'SELECT seq%'"
        wait_until(lambda: account.run(running) or None, "the statement's start")
        wrapper.cancel()

    thread = threading.Thread(target=cancel)
    with account.root.shared():
        thread.start()
        with pytest.raises(OperationalError, match="execute on 'default'"):
            value(wrapper, "SELECT seq FROM seq_1_to_1000 WHERE sleep(0.1)")
        thread.join()
    assert value(wrapper, "SELECT connection_id()") == session
    account.assert_sessions(1)


def test_server_version_is_the_servers(wrapper: Wrapper) -> None:
    version = ".".join(str(part) for part in wrapper.server_version)
    assert str(value(wrapper, "SELECT version()")).startswith(version)


# Reset


def test_reset_undoes_all_that_a_user_can_do_to_a_session(wrapper: Wrapper, account: Account) -> None:
    role = f"r{account.name[:20]}"
    account.run(f"CREATE ROLE {role}", f"GRANT {role} TO {account.name}@'%'")
    run(
        wrapper, f"SET ROLE {role}", "SET @mine = 1", "SET NAMES latin1", "SET sql_mode = 'ANSI'",
        "USE information_schema",
        f"CREATE TEMPORARY TABLE {account.name}.t (id int)", f"SELECT get_lock('{role}', 1)", "SET autocommit = 0",
        "PREPARE mine FROM 'SELECT 1'", "BEGIN",
    )  # fmt: skip
    connection = wrapper.connection
    wrapper.backend.reset(connection)
    wrapper.backend.init_connection_state(connection)
    assert wrapper.backend.transaction_status(connection) is TransactionStatus.IDLE
    for query, expected in {
        "SELECT current_role()": None, "SELECT @mine": None, "SELECT @@character_set_client": "utf8mb4",
        "SELECT @@sql_mode = @@global.sql_mode": 1, "SELECT database()": account.name,
        f"SELECT is_free_lock('{role}')": 1, "SELECT @@autocommit": 1,
        f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{account.name}'": 0,
    }.items():  # fmt: skip
        assert value(wrapper, query) == expected, query
    with pytest.raises(DatabaseError):
        run(wrapper, "EXECUTE mine")
    account.run(f"DROP ROLE {role}")


def test_reset_brings_the_default_role_back(open_with: Callable[..., Wrapper], account: Account) -> None:
    role = f"r{account.name[:20]}"
    account.run(
        f"CREATE ROLE {role}", f"GRANT {role} TO {account.name}@'%'", f"SET DEFAULT ROLE {role} FOR {account.name}@'%'"
    )
    wrapper = open_with()
    run(wrapper, "SET ROLE NONE")
    wrapper.backend.reset(wrapper.connection)
    assert value(wrapper, "SELECT current_role()") == role
    account.run(f"DROP ROLE {role}")


# Lost sessions and failures


def test_killed_session_is_seen_without_a_round_trip(wrapper: Wrapper, account: Account) -> None:
    connection = wrapper.connection
    assert not wrapper.backend.is_broken(connection)
    account.run(f"KILL {value(wrapper, 'SELECT connection_id()')}")
    wait_until(lambda: True if wrapper.backend.is_broken(connection) else None, "the news")
    assert connection.open  # the driver has not noticed: that is why we look
    assert not wrapper.is_usable()


def test_killed_session_is_told_from_another_error(wrapper: Wrapper, account: Account) -> None:
    with pytest.raises(DatabaseError) as other:
        run(wrapper, "no such statement")
    connection = wrapper.connection
    account.run(f"KILL {value(wrapper, 'SELECT connection_id()')}")
    account.assert_sessions(0)  # the server answers before the session has ended
    lost: list[BaseException | None] = []
    for _ in range(2):  # the second time the driver has closed its end
        with pytest.raises(pymysql.err.Error) as caught:
            wrapper.backend.ping(connection)
        lost.append(caught.value)
    causes = [other.value.__cause__, *lost]
    assert [cause is not None and wrapper.backend.is_disconnect(cause) for cause in causes] == [False, True, True]


def test_session_is_freed_by_reference_count_alone(account: Account) -> None:
    gc.collect()
    gc.disable()
    try:
        wrapper: Wrapper | None = DatabaseWrapper(MySQLBackend(account.settings))
        assert wrapper is not None
        cursor = wrapper.cursor()
        cursor.execute("SELECT 1")
        with pytest.raises(DatabaseError) as caught, wrapper.atomic():
            wrapper.cursor().execute("no such statement")
        with wrapper.named_cursor("n") as named:
            named.execute("SELECT 1")
        account.assert_sessions(1)
        del named, caught
        wrapper = None
        account.assert_sessions(0)
        del cursor
    finally:
        gc.enable()


def assert_connect_fails(settings: MySQLSettings, complaint: str) -> None:
    wrapper: Wrapper = DatabaseWrapper(MySQLBackend(settings))
    with pytest.raises(OperationalError, match=complaint) as caught:
        wrapper.cursor()
    assert caught.value.step == "connect"
    assert isinstance(caught.value.__cause__, pymysql.err.OperationalError)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert not wrapper.is_open


def test_wrong_password_is_one_clear_error(account: Account) -> None:
    assert_connect_fails(account.settings.derive(password="wrong"), "Access denied")


def test_unknown_database_is_one_clear_error(account: Account) -> None:
    assert_connect_fails(account.settings.derive(name="no_such_database"), "(Unknown database|Access denied).*no_such")


def test_refused_port_is_one_clear_error(account: Account) -> None:
    assert_connect_fails(account.settings.derive(port=free_port()), "refused")


def test_full_connection_limit_is_one_clear_error(wrapper: Wrapper, account: Account) -> None:
    account.run(f"ALTER USER {account.name}@'%' WITH MAX_USER_CONNECTIONS 1")
    wrapper.connect()
    assert_connect_fails(account.settings, "max_user_connections")


def test_silent_server_is_given_up_after_the_connect_timeout(account: Account) -> None:
    with SilentServer() as server:
        silent = account.settings.derive(port=server.port, options={"connect_timeout": 0.2})
        assert_connect_fails(silent, "timed out")


def test_server_killed_in_a_transaction_leaves_nothing_half_done(make_mysql: Callable[..., MySQLServer]) -> None:
    server = make_mysql()
    wrapper: Wrapper = DatabaseWrapper(MySQLBackend(MySQLSettings.from_url(server.url())))
    run(wrapper, "CREATE TABLE t (id int)")

    def use() -> None:
        with wrapper.atomic():
            run(wrapper, "INSERT INTO t VALUES (1)")
            server.kill()
            run(wrapper, "INSERT INTO t VALUES (2)")

    with pytest.raises(OperationalError, match="execute on 'default'"):
        use()
    assert not wrapper.is_usable()
    assert not wrapper.is_open
    server.start()
    assert value(wrapper, "SELECT count(*) FROM t") == 0
    assert value(wrapper, "SELECT count(*) FROM information_schema.processlist WHERE user = 'tester'") == 1
    wrapper.close()


def test_statement_whose_answer_was_lost_is_not_run_again(account: Account) -> None:
    account.run(f"CREATE TABLE {account.name}.t (id int)")
    assert isinstance(account.settings.port, int)
    with Proxy(account.settings.port) as proxy:
        wrapper: Wrapper = DatabaseWrapper(MySQLBackend(account.settings.derive(port=proxy.port)))
        cursor = wrapper.cursor()
        proxy.lose_next_answer()
        with pytest.raises(OperationalError, match="execute on 'default'"):
            cursor.execute("INSERT INTO t VALUES (1)")
        assert not wrapper.is_usable()
        assert account.run(f"SELECT count(*) FROM {account.name}.t") == ((1,),)
        wrapper.close_if_unusable_or_obsolete()
        assert value(wrapper, "SELECT count(*) FROM t") == 1
        wrapper.close()


def test_missing_driver_names_the_extra() -> None:
    code = "import sys; sys.modules['pymysql'] = None; import reference_backends.mysql"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("backend_sdk.errors.ImproperlyConfigured")
    assert "pip install 'backend-sdk[mysql]'" in last
