"""The PostgreSQL backend: options, cursors, transactions, and what psycopg alone would get wrong."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import assert_type
from uuid import uuid4

import psycopg
import pytest
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import DictRow, RowFactory, dict_row
from pydantic import SecretStr
from typing_extensions import override

from backend_sdk import (
    DatabaseError,
    DatabaseWrapper,
    ImproperlyConfigured,
    OperationalError,
    ProgrammingError,
    SupportsReadOnly,
    TransactionStatus,
    declared_abilities,
)
from conformance.servers.process import wait_until
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLCursor, PostgreSQLOptions, PostgreSQLSettings

Wrapper = DatabaseWrapper[psycopg.Connection, PostgreSQLCursor]


@pytest.fixture
def settings(postgresql_url: str) -> PostgreSQLSettings:
    """Settings whose application_name is this test's alone, so that its sessions can be counted."""
    return PostgreSQLSettings.from_url(postgresql_url).derive(options={"application_name": f"t{uuid4().hex}"})


@pytest.fixture
def wrapper(settings: PostgreSQLSettings) -> Iterator[Wrapper]:
    made = DatabaseWrapper(PostgreSQLBackend(settings))
    yield made
    made.close()


@pytest.fixture
def observer(postgresql_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def open_with(settings: PostgreSQLSettings) -> Iterator[Callable[..., Wrapper]]:
    made: list[Wrapper] = []

    def make(*, options: dict[str, object] | None = None, **changes: object) -> Wrapper:
        wrapper = DatabaseWrapper(PostgreSQLBackend(settings.derive(options=options or {}, **changes)))
        made.append(wrapper)
        return wrapper

    yield make
    for wrapper in made:
        wrapper.close()


def value(wrapper: Wrapper, query: str) -> object:
    with wrapper.cursor() as cursor:
        row = cursor.execute(query.encode()).fetchone()
    return row[0] if row else None


def run(wrapper: Wrapper, *statements: str) -> None:
    for statement in statements:
        with wrapper.cursor() as cursor:
            cursor.execute(statement.encode())


def sessions(observer: psycopg.Connection, wrapper_settings: PostgreSQLSettings) -> int:
    name = wrapper_settings.options.application_name
    row = observer.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone()
    return int(row[0]) if row else -1


def assert_sessions(observer: psycopg.Connection, settings: PostgreSQLSettings, number: int) -> None:
    """The server needs a moment to notice that a client has gone."""
    wait_until(lambda: True if sessions(observer, settings) == number else None, f"{number} sessions", timeout=10)


def terminate(observer: psycopg.Connection, pid: int) -> None:
    observer.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


# Options


@pytest.mark.parametrize(
    ("options", "setting", "expected"),
    [
        ({"search_path": "a, b"}, "search_path", '"a", "b"'),
        ({"search_path": ("$user", 'we"ird', "public")}, "search_path", '"$user", "we""ird", "public"'),
        ({"statement_timeout": 1.5}, "statement_timeout", "1500ms"),
        ({"statement_timeout": 0}, "statement_timeout", "0"),
        ({"lock_timeout": 0.0001}, "lock_timeout", "1ms"),
        ({"idle_in_transaction_session_timeout": 60}, "idle_in_transaction_session_timeout", "1min"),
        ({"isolation_level": "REPEATABLE_READ"}, "transaction_isolation", "repeatable read"),
        ({"read_only": True}, "transaction_read_only", "on"),
        ({"role": "pg_monitor"}, "role", "pg_monitor"),
        ({"session_settings": {"my.tenant": "it's", "enable_sort": False}}, "my.tenant", "it's"),
        ({"session_settings": {"enable_sort": False}}, "enable_sort", "off"),
        ({"client_encoding": "latin1"}, "client_encoding", "LATIN1"),
    ],
)
def test_option_holds_in_the_session(
    open_with: Callable[..., Wrapper], options: dict[str, object], setting: str, expected: str
) -> None:
    assert value(open_with(options=options), f"SHOW {setting}") == expected


def test_time_zone_holds_in_the_session(open_with: Callable[..., Wrapper]) -> None:
    assert value(open_with(time_zone="Asia/Tokyo"), "SHOW TimeZone") == "Asia/Tokyo"


def test_session_settings_hold_without_autocommit_and_leave_no_transaction_open(
    open_with: Callable[..., Wrapper],
) -> None:
    wrapper = open_with(options={"search_path": "a"}, autocommit=False)
    connection = wrapper.connection
    assert wrapper.backend.transaction_status(connection) is TransactionStatus.IDLE
    wrapper.rollback()
    assert value(wrapper, "SHOW search_path") == '"a"'


def test_failed_role_leaves_no_session_and_no_connection(
    open_with: Callable[..., Wrapper], observer: psycopg.Connection, settings: PostgreSQLSettings
) -> None:
    wrapper = open_with(options={"role": "nobody_of_that_name"})
    for _ in range(2):
        with pytest.raises(DatabaseError, match="init_connection_state") as caught:
            wrapper.cursor()
        assert isinstance(caught.value.__cause__, psycopg.errors.InvalidParameterValue)
        assert not wrapper.is_open
    assert_sessions(observer, settings, 0)


def test_transaction_settings_hold_for_the_transaction_alone(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(
        options={
            "transaction_settings": {
                "transaction_isolation": "serializable", "search_path": "a, b", "role": "pg_monitor", "work_mem": 64,
            }
        }
    )  # fmt: skip
    names = ("transaction_isolation", "search_path", "role", "work_mem")
    with wrapper.atomic():
        assert [value(wrapper, f"SHOW {name}") for name in names] == ["serializable", "a, b", "pg_monitor", "64kB"]
    assert value(wrapper, "SHOW search_path") == '"$user", public'
    assert value(wrapper, "SHOW role") == "none"


def test_every_connection_option_reaches_libpq() -> None:
    options = PostgreSQLOptions.model_validate(
        {
            "sslmode": "verify-full", "sslrootcert": "/r", "sslcert": "/c", "sslkey": "/k", "sslpassword": "s3cret",
            "sslcrl": "/l", "channel_binding": "require", "service": "s", "passfile": "/p", "connect_timeout": 3,
            "target_session_attrs": "read-write", "load_balance_hosts": "random", "keepalives": True,
            "keepalives_idle": 1, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 1.5,
            "application_name": "n", "client_encoding": "UTF8", "prepare_threshold": 7,
        }
    )  # fmt: skip
    settings = PostgreSQLSettings(
        name="d",
        user="u",
        password=SecretStr("p"),
        host="a,b",
        port=(1, 2),
        options=options,
    )
    params = PostgreSQLBackend(settings).get_connection_params()
    assert params == {
        "dbname": "d", "user": "u", "password": "p", "host": "a,b", "port": "1,2", "prepare_threshold": 7,
        "sslmode": "verify-full", "sslrootcert": "/r", "sslcert": "/c", "sslkey": "/k", "sslpassword": "s3cret",
        "sslcrl": "/l", "channel_binding": "require", "service": "s", "passfile": "/p", "connect_timeout": 3,
        "target_session_attrs": "read-write", "load_balance_hosts": "random", "keepalives": 1,
        "keepalives_idle": 1, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 1500,
        "application_name": "n", "client_encoding": "UTF8",
    }  # fmt: skip
    names = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    assert set(params) - {"prepare_threshold"} <= names
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"NAME": ""}, "NAME is missing"),
        ({"PORT": (1, 2), "HOST": "a,b,c"}, "another number of servers"),
        ({"OPTIONS": {"sslmod": "require"}}, "did you mean 'sslmode'"),
        ({"OPTIONS": {"statement_timeout": -1}}, "statement_timeout"),
        ({"OPTIONS": {"isolation_level": "chaos"}}, "isolation_level"),
        ({"OPTIONS": {"transaction_settings": {"a.b": 1}}, "AUTOCOMMIT": False}, "set by atomic"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        PostgreSQLSettings.from_mapping({"NAME": "d", **changes})


def test_target_session_attrs_finds_the_writable_one_among_several_hosts(
    open_with: Callable[..., Wrapper], settings: PostgreSQLSettings, observer: psycopg.Connection
) -> None:
    assert isinstance(settings.port, int)
    several = {"host": f"{settings.host},{settings.host}", "port": (1, settings.port)}  # nobody listens on port 1
    wrapper = open_with(**several, options={"target_session_attrs": "read-write"})
    assert value(wrapper, "SHOW transaction_read_only") == "off"
    with pytest.raises(OperationalError, match="connect"):
        open_with(**several, options={"target_session_attrs": "standby"}).connect()
    assert observer.info.port == settings.port


def test_statement_timeout_ends_a_statement_and_not_the_session(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(options={"statement_timeout": 0.2})
    with pytest.raises(OperationalError, match="statement timeout"):
        value(wrapper, "SELECT pg_sleep(60)")
    assert wrapper.is_usable()


@pytest.mark.parametrize("server_side", [True, False])
def test_parameters_are_bound_where_the_option_says(open_with: Callable[..., Wrapper], server_side: bool) -> None:
    wrapper = open_with(options={"server_side_binding": server_side})
    with wrapper.cursor() as cursor:
        if server_side:
            with pytest.raises(ProgrammingError):  # SET takes no parameters at the server
                cursor.execute("SET work_mem = %s", ["3MB"])
        else:
            cursor.execute("SET work_mem = %s", ["3MB"])
            assert value(wrapper, "SHOW work_mem") == "3MB"


# Cursors


def test_rows_are_typed_by_the_class_and_made_by_its_factory(settings: PostgreSQLSettings) -> None:
    class Named(PostgreSQLBackend[PostgreSQLSettings, DictRow]):
        @classmethod
        @override
        def row_factory(cls) -> RowFactory[DictRow]:
            return dict_row

    wrapper = DatabaseWrapper(Named(settings))
    with wrapper.cursor() as cursor:
        row = cursor.execute("SELECT 1 AS one").fetchone()
        assert_type(row, DictRow | None)
        assert row == {"one": 1}
    with wrapper.atomic(), wrapper.named_cursor("n") as cursor:
        assert cursor.execute("SELECT 2 AS two").fetchone() == {"two": 2}
    wrapper.backend.reset(wrapper.connection)  # reads rows itself
    wrapper.close()


def test_named_cursor_leaves_the_rows_at_the_server(wrapper: Wrapper) -> None:
    with wrapper.atomic(), wrapper.named_cursor("n") as cursor:
        cursor.execute("SELECT generate_series(1, 1000000)")
        assert cursor.fetchmany(2) == [(1,), (2,)]
        cursor.scroll(10)
        assert next(iter(cursor)) == (13,)
        assert value(wrapper, "SELECT name FROM pg_cursors WHERE name = 'n'") == "n"


@pytest.mark.parametrize("server_side", [True, False])
def test_named_cursor_outside_of_a_transaction_lasts_until_closed(
    open_with: Callable[..., Wrapper], server_side: bool
) -> None:
    wrapper = open_with(options={"server_side_binding": server_side})
    with wrapper.named_cursor("n") as cursor:
        cursor.execute("SELECT generate_series(%s::int, 5)", [2])
        assert cursor.fetchone() == (2,)
        assert cursor.fetchall() == [(3,), (4,), (5,)]
    assert value(wrapper, "SELECT count(*) FROM pg_cursors") == 0


def test_copy_goes_both_ways_and_its_errors_are_ours(wrapper: Wrapper) -> None:
    with wrapper.atomic(), wrapper.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE copied (id int PRIMARY KEY, name text) ON COMMIT DROP")
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write_row((1, "one"))
        with cursor.copy("COPY copied TO STDOUT") as copy:
            assert list(copy.rows()) == [("1", "one")]
        with (
            pytest.raises(DatabaseError, match="copy on 'default'"),
            wrapper.atomic(),
            cursor.copy("COPY copied FROM STDIN") as copy,
        ):
            copy.write_row((1, "again"))


def test_stream_yields_rows_and_its_errors_are_ours(wrapper: Wrapper) -> None:
    with wrapper.cursor() as cursor:
        assert list(cursor.stream("SELECT generate_series(1, 3)")) == [(1,), (2,), (3,)]
        with pytest.raises(DatabaseError, match="stream on 'default'"):
            list(cursor.stream("SELECT 1/0"))


@pytest.mark.parametrize("method", ["copy", "stream", "scroll"])
def test_driver_methods_are_refused_to_other_threads(wrapper: Wrapper, method: str) -> None:
    cursor = wrapper.cursor()
    caught: list[BaseException] = []

    def use() -> None:
        try:
            result = getattr(cursor, method)("SELECT 1")
            with result if method == "copy" else cursor:
                list(result)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "belongs to the thread" in str(caught[0])


def test_notifications_arrive_through_the_drivers_connection(wrapper: Wrapper, observer: psycopg.Connection) -> None:
    channel = f"c{uuid4().hex}"
    with wrapper.cursor() as cursor:
        cursor.execute(f"LISTEN {channel}".encode())
        observer.execute(f"NOTIFY {channel}, 'first'".encode())
        (first,) = cursor.connection.notifies(timeout=10, stop_after=1)
    assert first.payload == "first"


def test_looking_at_the_socket_loses_no_notification(wrapper: Wrapper, observer: psycopg.Connection) -> None:
    channel = f"c{uuid4().hex}"
    run(wrapper, f"LISTEN {channel}")
    observer.execute(f"NOTIFY {channel}, 'early'".encode())
    connection = wrapper.connection
    wait_until(lambda: True if arrived(connection) else None, "the notification")
    assert not wrapper.backend.is_broken(connection)
    assert not arrived(connection)  # it was read by the look
    (early,) = connection.notifies(timeout=10, stop_after=1)
    assert early.payload == "early"


def arrived(connection: psycopg.Connection) -> bool:
    import select

    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


# Transactions


def test_ddl_is_undone_by_a_rollback(wrapper: Wrapper) -> None:
    name = f"t{uuid4().hex}"
    with pytest.raises(DatabaseError, match="division"), wrapper.atomic():
        run(wrapper, f"CREATE TABLE {name} ()", "SELECT 1/0")
    assert value(wrapper, f"SELECT to_regclass('{name}')") is None


def test_commit_of_a_failed_transaction_raises_instead_of_rolling_back(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(autocommit=False)
    with pytest.raises(DatabaseError):
        value(wrapper, "SELECT 1/0")
    with pytest.raises(DatabaseError, match="commit"):
        wrapper.commit()
    wrapper.rollback()
    assert value(wrapper, "SELECT 1") == 1


def test_atomic_without_autocommit_begins_one_transaction(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(autocommit=False)
    notices: list[str | None] = []
    wrapper.connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
    with wrapper.atomic():
        assert value(wrapper, "SELECT 1") == 1
    wrapper.rollback()
    assert notices == []


def test_read_only_session_refuses_writes_and_takes_them_again(wrapper: Wrapper) -> None:
    name = f"t{uuid4().hex}"
    wrapper.set_read_only(True)
    with pytest.raises(DatabaseError, match="read-only"):
        run(wrapper, f"CREATE TABLE {name} ()")
    wrapper.set_read_only(False)
    run(wrapper, f"CREATE TABLE {name} ()")


def test_cancel_ends_the_statement_and_not_the_session(wrapper: Wrapper, observer: psycopg.Connection) -> None:
    pid = value(wrapper, "SELECT pg_backend_pid()")

    def cancel() -> None:
        running = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        wait_until(lambda: observer.execute(running, [pid]).fetchone(), "the statement's start")
        wrapper.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(OperationalError, match="execute on 'default': canceling statement"):
        value(wrapper, "SELECT pg_sleep(60)")
    thread.join()
    assert value(wrapper, "SELECT pg_backend_pid()") == pid


def test_server_version_is_the_servers(wrapper: Wrapper) -> None:
    major, minor = wrapper.server_version
    assert str(value(wrapper, "SHOW server_version")).startswith(f"{major}.{minor}")


# Reset


def test_reset_undoes_all_that_a_user_can_do_to_a_session(wrapper: Wrapper) -> None:
    value(wrapper, "SELECT pg_advisory_lock(42)")
    for statement in (
        "SET search_path = elsewhere", "SET ROLE pg_monitor", "SET work_mem = '3MB'", "LISTEN channel",
        "PREPARE mine AS SELECT 1", "BEGIN", "DECLARE held CURSOR WITH HOLD FOR SELECT 1", "COMMIT",
    ):  # fmt: skip
        run(wrapper, statement)
    run(wrapper, "RESET ROLE")
    run(wrapper, "CREATE TEMP TABLE pg_temp.kept (id int)")
    run(wrapper, "SET ROLE pg_monitor")
    connection = wrapper.connection
    notices: list[object] = []
    connection.add_notice_handler(notices.append)
    connection.add_notify_handler(notices.append)
    connection.row_factory = dict_row  # type: ignore[assignment]  # what a careless user does
    connection.execute("BEGIN")
    wrapper.backend.reset(connection)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    for query, expected in {
        "SHOW search_path": '"$user", public', "SHOW role": "none", "SHOW work_mem": "4MB",
        "SELECT count(*) FROM pg_listening_channels()": 0, "SELECT count(*) FROM pg_cursors": 0,
        "SELECT count(*) FROM pg_prepared_statements WHERE from_sql": 0,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()": 0,
        "SELECT to_regclass('pg_temp.kept')": None,
    }.items():  # fmt: skip
        assert value(wrapper, query) == expected, query
    run(wrapper, "DO $$ BEGIN RAISE NOTICE 'for nobody'; END $$")
    assert notices == []


class Upper(Loader):
    """What a user registers for himself."""

    @override
    def load(self, data: Buffer) -> str:
        return bytes(data).decode().upper()


class Configured(PostgreSQLBackend):
    """Registers for the life of the session."""

    @override
    def configure_connection(self, connection: psycopg.Connection, /) -> None:
        connection.adapters.register_loader("text", Upper)


@pytest.mark.parametrize("kind", [PostgreSQLBackend, Configured])
def test_a_reset_takes_back_what_the_user_has_told_the_client(
    kind: type[PostgreSQLBackend], settings: PostgreSQLSettings
) -> None:
    wrapper = DatabaseWrapper(kind(settings))
    for _ in range(2):
        query = "SELECT 'a'::text, 'b'::varchar"
        assert wrapper.connection.execute(query).fetchone() == ("A" if kind is Configured else "a", "b")
        wrapper.connection.adapters.register_loader("varchar", Upper)
        wrapper.connection.prepared_max = 1
        kind(settings).reset(wrapper.connection)  # an equal one may have the session next
        assert wrapper.connection.prepared_max == 100
    wrapper.close()


def test_reset_works_in_a_read_only_session_and_without_autocommit(open_with: Callable[..., Wrapper]) -> None:
    for changes in ({"options": {"read_only": True}}, {"autocommit": False}):
        wrapper = open_with(**changes)
        wrapper.backend.reset(wrapper.connection)
        assert wrapper.backend.transaction_status(wrapper.connection) is TransactionStatus.IDLE
        assert value(wrapper, "SELECT 1") == 1


def test_reset_keeps_prepared_statements_at_both_ends(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(options={"prepare_threshold": 0})
    assert value(wrapper, "SELECT 41 + 1") == 42
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 41 + 1'"
    wrapper.backend.reset(wrapper.connection)
    assert value(wrapper, prepared) == 1
    assert value(wrapper, "SELECT 41 + 1") == 42  # fails where the server has lost what psycopg believes prepared


def test_reset_forgets_prepared_statements_that_may_know_a_temporary_table(open_with: Callable[..., Wrapper]) -> None:
    wrapper = open_with(options={"prepare_threshold": 0})
    with wrapper.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (a int)", prepare=False)
        cursor.execute("SELECT * FROM t")
    wrapper.backend.reset(wrapper.connection)
    with wrapper.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (a text, b text)", prepare=False)
        cursor.execute("SELECT * FROM t")  # else: cached plan must not change result type
        assert len(cursor.description or ()) == 2


# Lost sessions


def test_terminated_session_is_seen_without_a_round_trip(wrapper: Wrapper, observer: psycopg.Connection) -> None:
    connection = wrapper.connection
    assert not wrapper.backend.is_broken(connection)
    terminate(observer, connection.info.backend_pid)
    wait_until(lambda: True if wrapper.backend.is_broken(connection) else None, "the news")
    assert not connection.broken  # psycopg has not noticed: that is why we look
    assert not wrapper.is_usable()


def test_terminated_session_is_told_from_another_error(wrapper: Wrapper, observer: psycopg.Connection) -> None:
    with pytest.raises(DatabaseError) as other:
        value(wrapper, "SELECT 1/0")
    terminate(observer, wrapper.connection.info.backend_pid)
    with pytest.raises(OperationalError) as lost:
        value(wrapper, "SELECT 1")
    causes = [caught.value.__cause__ for caught in (other, lost)]
    assert [cause is not None and wrapper.backend.is_disconnect(cause) for cause in causes] == [False, True]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.IdleInTransactionSessionTimeout, True),
        (psycopg.errors.ConnectionFailure, True),
        (psycopg.errors.TooManyConnections, False),
        (psycopg.errors.QueryCanceled, False),
        (psycopg.errors.SerializationFailure, False),
        (psycopg.errors.UniqueViolation, False),
        (psycopg.OperationalError, True),
        (psycopg.InterfaceError, False),
        (ValueError, False),
    ],
)
def test_disconnects_are_known_by_their_sqlstate(
    settings: PostgreSQLSettings, error: type[Exception], expected: bool
) -> None:
    assert PostgreSQLBackend(settings).is_disconnect(error("x")) is expected


def test_session_is_freed_by_reference_count_alone(settings: PostgreSQLSettings, observer: psycopg.Connection) -> None:
    gc.collect()
    gc.disable()
    try:
        wrapper: Wrapper | None = DatabaseWrapper(PostgreSQLBackend(settings))
        assert wrapper is not None
        cursor = wrapper.cursor().execute("SELECT 1")
        with pytest.raises(DatabaseError) as caught, wrapper.atomic():
            wrapper.cursor().execute("SELECT 1/0")
        with wrapper.atomic(), wrapper.named_cursor("n") as named:
            named.execute("SELECT 1").fetchall()
        assert_sessions(observer, settings, 1)
        del named, caught
        wrapper = None
        assert_sessions(observer, settings, 0)
        del cursor
    finally:
        gc.enable()


def test_abilities_are_all_declared() -> None:
    assert SupportsReadOnly in declared_abilities(PostgreSQLBackend)


def test_several_threads_may_look_at_once_whether_a_session_is_broken(
    settings: PostgreSQLSettings, observer: psycopg.Connection
) -> None:
    backend: PostgreSQLBackend = PostgreSQLBackend(settings)
    connection = backend.get_new_connection(backend.get_connection_params())
    assert not backend.is_broken(connection)

    def busy(_timeout: int) -> None:
        raise RuntimeError("concurrent poll() invocation")  # what a poll object says to the second of two threads

    connection._look = busy  # type: ignore[attr-defined]  # where the backend keeps it
    assert not backend.is_broken(connection)
    terminate(observer, connection.info.backend_pid)
    assert backend.is_broken(connection)
    connection.close()
