"""The servers start, survive being killed, and stand where the URL says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pymysql
import pytest
from pymysql.cursors import Cursor

from conformance.servers import mysql, postgresql
from conformance.servers.mysql import MySQLServer
from conformance.servers.pgbouncer import PgBouncer
from conformance.servers.postgresql import PostgreSQLServer
from conformance.servers.process import Unavailable, wait_until

MakePostgreSQL = Callable[..., PostgreSQLServer]


def test_postgresql_keeps_what_was_committed_over_kill_9_and_forgets_the_rest(make_postgresql: MakePostgreSQL) -> None:
    server = make_postgresql()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE forgotten AS SELECT 1")
        port = server.port
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.start()
    assert server.port == port
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname IN ('kept', 'forgotten')").fetchall()
    assert rows == [("kept",)]


def test_postgresql_is_not_run_by_root(make_postgresql: MakePostgreSQL) -> None:
    pid = make_postgresql().pid
    if not Path(f"/proc/{pid}").exists():
        pytest.skip("no /proc to ask for the owner")
    assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_postgresql_listens_on_a_socket_in_its_folder(make_postgresql: MakePostgreSQL) -> None:
    server = make_postgresql()
    with psycopg.connect(
        host=str(server.folder), port=server.port, user=server.user, password=server.password
    ) as connection:
        assert connection.info.host == str(server.folder)


def test_postgresql_takes_settings_and_access_rules(make_postgresql: MakePostgreSQL) -> None:
    server = make_postgresql(settings={"work_mem": "3MB"}, hba="host all postgres 127.0.0.1/32 trust")
    with psycopg.connect(server.url(password="wrong")) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("3MB",)


def test_standby_follows_its_primary_and_can_be_promoted(make_postgresql: MakePostgreSQL) -> None:
    primary = make_postgresql()
    standby = make_postgresql(standby_of=primary)
    with (
        psycopg.connect(primary.url(), autocommit=True) as writer,
        psycopg.connect(standby.url(), autocommit=True) as reader,
    ):
        writer.execute("CREATE TABLE followed AS SELECT 1")
        wait_until(
            lambda: reader.execute("SELECT 1 FROM pg_class WHERE relname = 'followed'").fetchone(), "replication"
        )
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TABLE refused ()")
        primary.kill()
        standby.promote()
        reader.execute("CREATE TABLE taken ()")


def test_postgresql_url_prefers_the_server_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_SDK_POSTGRESQL_URL", "postgresql://somewhere/else")
    with postgresql.postgresql_url() as url:
        assert url == "postgresql://somewhere/else"


def test_mysql_url_prefers_the_server_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_SDK_MYSQL_URL", "mysql://somewhere/else")
    with mysql.mysql_url() as url:
        assert url == "mysql://somewhere/else"


def test_postgresql_programs_come_from_a_pip_package_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgresql, "_FOLDERS", ())
    monkeypatch.setattr(os, "get_exec_path", list)
    monkeypatch.setattr(postgresql, "_PIP_PACKAGES", ("pg_programs_of_a_test",))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable, match="make services, or pip install"):
        postgresql.find_programs()
    programs = tmp_path / "pg_programs_of_a_test" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (programs.parents[1] / "__init__.py").touch()
    for name in ("initdb", "postgres"):
        (programs / name).touch(mode=0o755)
    assert postgresql.find_programs() == programs


def test_programs_in_a_closed_folder_are_copied_with_their_libraries(tmp_path: Path) -> None:
    programs = tmp_path / "closed" / "package" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (programs / "initdb").touch()
    libraries = tmp_path / "closed" / "package.libs"
    libraries.mkdir()
    (libraries / "libpq.so").touch()
    (tmp_path / "closed").chmod(0o700)
    folder = tmp_path / "folder"
    copy = postgresql._reachable(programs, folder)
    assert (copy / "initdb").exists()
    assert (copy / "../../../package.libs/libpq.so").exists()
    assert copy.is_relative_to(folder)


def test_mariadb_keeps_what_was_committed_over_kill_9_and_forgets_the_rest(
    make_mysql: Callable[..., MySQLServer],
) -> None:
    server = make_mysql()

    def connect() -> pymysql.Connection[Cursor]:
        return pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, database="test",
            autocommit=True,
        )  # fmt: skip

    with connect().cursor() as cursor:
        cursor.execute("CREATE TABLE kept (id int) ENGINE InnoDB")
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        with pytest.raises(pymysql.OperationalError):
            cursor.execute("SELECT 1")
    server.start()
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (0,)


def test_pgbouncer_gives_two_clients_one_server_session_in_transaction_mode(
    make_postgresql: MakePostgreSQL, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    pooler = make_pgbouncer(make_postgresql(), mode="transaction")
    with (
        psycopg.connect(pooler.url(), autocommit=True) as first,
        psycopg.connect(pooler.url(), autocommit=True) as second,
    ):
        sessions = [c.execute("SELECT pg_backend_pid()").fetchone() for c in (first, second)]
    assert sessions[0] == sessions[1]
