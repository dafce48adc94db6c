"""What the PostgreSQL backend does when the server, the network or the settings fail it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from backend_sdk import DatabaseWrapper, ImproperlyConfigured, OperationalError, make_backend
from conformance.servers.postgresql import PostgreSQLServer
from conformance.servers.process import free_port, wait_until
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLCursor, PostgreSQLSettings
from tests.servers.proxy import Proxy, SilentServer

Wrapper = DatabaseWrapper[psycopg.Connection, PostgreSQLCursor]
SECRET = "hunter2/secret"


@pytest.fixture
def settings(postgresql_url: str) -> PostgreSQLSettings:
    return PostgreSQLSettings.from_url(postgresql_url).derive(options={"application_name": f"t{uuid4().hex}"})


@pytest.fixture
def observer(postgresql_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def limited_role(observer: psycopg.Connection) -> Iterator[str]:
    """A role that may have one session, and has it."""
    name = f"r{uuid4().hex}"
    observer.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 1".encode())
    info = observer.info
    with psycopg.connect(host=info.host, port=info.port, user=name, password=SECRET, dbname=info.dbname):
        yield name
    observer.execute(f"DROP ROLE {name}".encode())


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0


def assert_connect_fails(settings: PostgreSQLSettings, complaint: str) -> None:
    """One clear error of the connect step, without the secret, and nothing left open."""
    before = descriptors()
    wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(settings))
    with pytest.raises(OperationalError, match=complaint) as caught:
        wrapper.cursor()
    assert type(caught.value) is OperationalError
    assert caught.value.step == "connect"
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.OperationalError)
    assert cause.pgconn is None  # it knows the password
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert not wrapper.is_open
    del caught, cause
    assert descriptors() == before


def test_wrong_password_is_one_clear_error(settings: PostgreSQLSettings) -> None:
    assert_connect_fails(settings.derive(password=SECRET), "password authentication failed")


def test_unknown_database_is_one_clear_error(settings: PostgreSQLSettings) -> None:
    assert_connect_fails(settings.derive(name="no_such_database"), 'database "no_such_database" does not exist')


def test_refused_port_is_one_clear_error(settings: PostgreSQLSettings) -> None:
    assert_connect_fails(settings.derive(port=free_port(), password=SECRET), "[Cc]onnection refused")


def test_full_connection_limit_is_one_clear_error(settings: PostgreSQLSettings, limited_role: str) -> None:
    assert_connect_fails(settings.derive(user=limited_role, password=SECRET), "too many connections")


def test_silent_server_is_given_up_after_the_connect_timeout(settings: PostgreSQLSettings) -> None:
    with SilentServer() as server:
        silent = settings.derive(port=server.port, password=SECRET, options={"connect_timeout": 1})
        assert_connect_fails(silent, "timeout")


def test_error_that_repeats_the_password_is_cleaned(settings: PostgreSQLSettings) -> None:
    echoing = settings.derive(password=SECRET, options={"service": SECRET})  # libpq repeats what it does not know
    assert_connect_fails(echoing, r'definition of service "\*\*\*" not found')


class TLSServer:
    """A server with a certificate of its own making, which is its own root too."""

    def __init__(self, server: PostgreSQLServer, folder: Path) -> None:
        self.server = server
        self._folder = folder

    def certify(self, days: int) -> PostgreSQLSettings:
        """Take a new certificate, good for *days*, and restart; returns settings that verify it."""
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("no openssl here to make a certificate with")
        key, request, certificate = (self._folder / name for name in ("key", "request", "certificate"))
        commands: list[list[str | Path]] = [
            ["req", "-newkey", "rsa:2048", "-nodes", "-batch", "-subj", "/CN=here", "-keyout", key, "-out", request],
            ["x509", "-req", "-in", request, "-signkey", key, "-days", str(days), "-out", certificate],
        ]
        for command in commands:
            subprocess.run([openssl, *command], check=True, capture_output=True)
        self.server.stop()
        data = self.server.folder / "data"
        for source, name in ((key, "server.key"), (certificate, "server.crt")):
            shutil.copy(source, data / name)
            os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
            (data / name).chmod(0o600)
        self.server.settings["ssl"] = "on"
        self.server.start()
        options = {"sslmode": "verify-ca", "sslrootcert": str(certificate)}
        return PostgreSQLSettings.from_url(self.server.url()).derive(options=options)


@pytest.fixture
def tls_server(make_postgresql: Callable[..., PostgreSQLServer], tmp_path: Path) -> TLSServer:
    return TLSServer(make_postgresql(), tmp_path)


def test_expired_certificate_is_one_clear_error(tls_server: TLSServer) -> None:
    wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(tls_server.certify(days=1)))
    assert wrapper.connection.pgconn.ssl_in_use  # nothing else is wrong with it
    wrapper.close()
    assert_connect_fails(tls_server.certify(days=-1), "certificate verify failed")


def test_terminated_session_is_seen_over_tls_too(tls_server: TLSServer) -> None:
    wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(tls_server.certify(days=1)))
    connection = wrapper.connection
    assert not wrapper.backend.is_broken(connection)
    with psycopg.connect(tls_server.server.url(), autocommit=True) as observer:
        observer.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.info.backend_pid])
    wait_until(lambda: True if wrapper.backend.is_broken(connection) else None, "the news")
    wrapper.close()


def test_server_killed_in_a_transaction_leaves_nothing_half_done(
    make_postgresql: Callable[..., PostgreSQLServer],
) -> None:
    server = make_postgresql()
    settings = PostgreSQLSettings.from_url(server.url()).derive(options={"application_name": "ours"})
    wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(settings))
    wrapper.cursor().execute("CREATE TABLE t (id int)")

    def use() -> None:
        with wrapper.atomic():
            wrapper.cursor().execute("INSERT INTO t VALUES (1)")
            server.kill()
            wrapper.cursor().execute("INSERT INTO t VALUES (2)")

    with pytest.raises(OperationalError) as caught:
        use()
    assert (caught.value.step, caught.value.alias) == ("execute", "default")
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    assert not wrapper.is_usable()
    assert not wrapper.is_open
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as observer:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'"
        assert observer.execute(ours).fetchone() == (0,)
        assert wrapper.cursor().execute("SELECT count(*) FROM t").fetchone() == (0,)  # a fresh session
        assert observer.execute(ours).fetchone() == (1,)
    wrapper.close()


def test_server_killed_between_statements_is_noticed_and_the_next_use_opens_anew(
    make_postgresql: Callable[..., PostgreSQLServer],
) -> None:
    server = make_postgresql()
    settings = PostgreSQLSettings.from_url(server.url()).derive(conn_max_age=None, conn_health_checks=True)
    wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(settings))
    wrapper.connect()
    wrapper.close_if_unusable_or_obsolete()
    server.kill()
    server.start()
    assert wrapper.cursor().execute("SELECT 1").fetchone() == (1,)
    wrapper.close()


def test_statement_whose_answer_was_lost_is_not_run_again(
    settings: PostgreSQLSettings, observer: psycopg.Connection
) -> None:
    table = f"t{uuid4().hex}"
    observer.execute(f"CREATE TABLE {table} (id int)".encode())
    assert isinstance(settings.port, int)
    with Proxy(settings.port) as proxy:
        wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(settings.derive(port=proxy.port)))
        cursor = wrapper.cursor()
        proxy.lose_next_answer()
        with pytest.raises(OperationalError, match="execute on 'default'"):
            cursor.execute(f"INSERT INTO {table} VALUES (1)".encode())
        assert not wrapper.is_usable()
        count = f"SELECT count(*) FROM {table}".encode()
        assert observer.execute(count).fetchone() == (1,)
        wrapper.close_if_unusable_or_obsolete()
        assert wrapper.cursor().execute(count).fetchone() == (1,)
        wrapper.close()
    observer.execute(f"DROP TABLE {table}".encode())


def test_commit_whose_answer_was_lost_is_an_error_and_is_not_repeated(
    settings: PostgreSQLSettings, observer: psycopg.Connection
) -> None:
    table = f"t{uuid4().hex}"
    observer.execute(f"CREATE TABLE {table} (id int)".encode())
    assert isinstance(settings.port, int)
    with Proxy(settings.port) as proxy:
        wrapper: Wrapper = DatabaseWrapper(PostgreSQLBackend(settings.derive(port=proxy.port)))

        def use() -> None:
            with wrapper.atomic():
                wrapper.cursor().execute(f"INSERT INTO {table} VALUES (1)".encode())
                wrapper.on_commit(lambda: pytest.fail("nobody knows whether it was committed"))
                proxy.lose_next_answer()

        with pytest.raises(OperationalError, match="commit on 'default'"):
            use()
        assert not wrapper.is_open
    assert observer.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (1,)
    observer.execute(f"DROP TABLE {table}".encode())


def test_missing_driver_names_the_extra() -> None:
    code = "import sys; sys.modules['psycopg'] = None; import reference_backends.postgresql"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("backend_sdk.errors.ImproperlyConfigured")
    assert "pip install 'backend-sdk[postgresql]'" in last


def test_missing_driver_is_the_same_error_through_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "reference_backends.postgresql")
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'backend-sdk\[postgresql\]'"):
        make_backend({"ENGINE": "reference_backends.postgresql", "NAME": "d"})
