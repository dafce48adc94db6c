"""The scripted driver fails where it is told, and the wrapper over it keeps nothing half-done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend_sdk import DatabaseWrapper, errors
from conformance.fakes import STEPS, FakeBackend, FakeConnection, FakeCursor, FakeDriver, FakeServer

Wrapper = DatabaseWrapper[FakeConnection, FakeCursor]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def wrapper(server: FakeServer) -> Wrapper:
    return DatabaseWrapper(FakeBackend.on(server))


def test_it_answers_what_it_is_told(server: FakeServer, wrapper: Wrapper) -> None:
    server.answer("SELECT 1", [(1,), (2,)])
    cursor = wrapper.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)
    assert cursor.fetchall() == [(2,)]
    cursor.execute("SELECT 2")
    assert cursor.fetchone() is None


@pytest.mark.parametrize("step", ["connect", "configure", "autocommit", "init"])
def test_a_failure_while_opening_leaves_no_session(server: FakeServer, wrapper: Wrapper, step: str) -> None:
    server.fail(step, FakeDriver.OperationalError("scripted"))
    with pytest.raises(errors.OperationalError, match="scripted"):
        wrapper.connect()
    assert server.sessions == []
    wrapper.connect()  # the script was for once
    assert len(server.sessions) == 1


def test_a_failure_comes_after_as_many_successes_as_asked(server: FakeServer, wrapper: Wrapper) -> None:
    server.fail("execute", FakeDriver.IntegrityError("third"), after=2, times=2)
    cursor = wrapper.cursor()
    cursor.execute("1")
    cursor.execute("2")
    for _ in range(2):
        with pytest.raises(errors.IntegrityError, match="third"):
            cursor.execute("3")
    cursor.execute("4")


def test_a_commit_that_fails_is_rolled_back_and_reported(server: FakeServer, wrapper: Wrapper) -> None:
    server.fail("commit", FakeDriver.OperationalError("disk full"))
    with pytest.raises(errors.OperationalError, match="disk full"), wrapper.atomic():
        wrapper.cursor().execute("INSERT")
    assert server.log[-2:] == ["commit", "rollback"]


def test_a_rollback_that_fails_ends_the_session(server: FakeServer, wrapper: Wrapper) -> None:
    server.fail("rollback", FakeDriver.OperationalError("gone"))
    with pytest.raises(LookupError), wrapper.atomic():
        raise LookupError
    assert server.sessions == []
    assert not wrapper.is_open


def test_a_close_that_raises_leaves_no_dead_connection(server: FakeServer, wrapper: Wrapper) -> None:
    wrapper.connect()
    server.fail("close", FakeDriver.OperationalError("lost"))
    with pytest.raises(errors.OperationalError, match="lost"):
        wrapper.close()
    assert not wrapper.is_open
    assert server.sessions == []
    wrapper.connect()
    assert len(server.sessions) == 1


def test_a_session_ended_by_the_server_is_noticed_when_the_driver_talks(server: FakeServer, wrapper: Wrapper) -> None:
    wrapper.connect()
    server.terminate_all()
    with pytest.raises(errors.OperationalError, match="ended the session"):
        wrapper.cursor().execute("SELECT 1")
    assert not wrapper.is_usable()


def test_an_unknown_step_is_refused_with_the_known_ones(server: FakeServer) -> None:
    with pytest.raises(ValueError, match="known: connect, configure"):
        server.fail("comit", RuntimeError())


def test_every_step_can_be_made_to_fail(server: FakeServer) -> None:
    backend = FakeBackend.on(server)
    connection = backend.get_new_connection(backend.get_connection_params())
    calls: dict[str, Callable[[], object]] = {
        "connect": lambda: backend.get_new_connection(backend.get_connection_params()),
        "configure": lambda: backend.configure_connection(connection),
        "init": lambda: backend.init_connection_state(connection),
        "autocommit": lambda: backend.set_autocommit(connection, True),
        "cursor": lambda: backend._cursor(connection),
        "execute": lambda: connection.cursor().execute("SELECT 1"),
        "fetch": lambda: connection.cursor().fetchone(),
        "begin": lambda: backend.begin(connection),
        "commit": lambda: backend.commit(connection),
        "rollback": lambda: connection.rollback(),
        "ping": lambda: backend.ping(connection),
        "reset": lambda: backend.reset(connection),
        "close": lambda: backend.close_connection(connection),
    }
    assert set(calls) == set(STEPS)
    for step, call in calls.items():
        server.fail(step, FakeDriver.InternalError(step))
        with pytest.raises(FakeDriver.InternalError, match=step):
            call()
