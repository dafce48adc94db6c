"""A driver that does as it is told and notes what was done, and ways to run things elsewhere.

It understands no SQL: a test plans what a step does, and reads afterwards what was called and what is open.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from typing_extensions import override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    ConnectionSettings,
    DatabaseWrapper,
    ErrorClasses,
    SupportsAutocommit,
    SupportsCancel,
    SupportsClose,
    SupportsConfigure,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken,
    SupportsNamedCursor,
    SupportsPing,
    SupportsReadOnly,
    SupportsSavepoints,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 20.0  # seconds until a test that hangs fails; no test waits so long unless it fails


class Driver:
    """What stands for the driver's module: its error classes, its connections, and the test's plans."""

    class Error(Exception): ...

    class Warning(Exception): ...

    class InterfaceError(Error): ...

    class DatabaseError(Error): ...

    class OperationalError(DatabaseError): ...

    class IntegrityError(DatabaseError): ...

    class ProgrammingError(DatabaseError): ...

    class SpecialIntegrityError(IntegrityError):
        """As psycopg's UniqueViolation: a class that PEP 249 does not know."""

    def __init__(self) -> None:
        self.connection_class: type[FakeConnection] = FakeConnection
        self.connections: list[FakeConnection] = []
        self.log: list[str] = []
        self.collisions: list[str] = []
        self._plans: dict[str, deque[Callable[[], object] | BaseException]] = {}

    def plan(self, step: str, *actions: Callable[[], object] | BaseException) -> None:
        """The next calls of *step* do these, one each: an error is raised, anything else called."""
        self._plans.setdefault(step, deque()).extend(actions)

    def play(self, step: str) -> None:
        self.log.append(step)
        planned = self._plans.get(step)
        action = planned.popleft() if planned else None
        if isinstance(action, BaseException):
            try:
                raise action
            finally:
                del action  # or this frame, which its traceback holds, would hold it
        if action is not None:
            action()

    def connect(self) -> FakeConnection:
        self.play("connect")
        self.connections.append(self.connection_class(self))
        return self.connections[-1]

    @property
    def open_connections(self) -> list[FakeConnection]:
        return [connection for connection in self.connections if not connection.closed]


class FakeConnection:
    """One session. Notes a collision when two threads are inside at the same time."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.closed = False
        self.broken = False
        self.autocommit = True
        self.status = TransactionStatus.IDLE
        self.rows: list[tuple[Any, ...]] = [(1,), (2,), (3,)]
        self._inside = threading.Lock()
        self._holder = 0

    @contextmanager
    def entered(self, step: str) -> Iterator[None]:
        if self._holder == threading.get_ident():
            yield
            return
        free = self._inside.acquire(blocking=False)
        if not free:
            self.driver.collisions.append(step)
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = 0
            if free:
                self._inside.release()

    def do(self, step: str, status: TransactionStatus | None = None) -> None:
        with self.entered(step):
            self.driver.play(step)
            if status is not None:
                self.status = status

    def close(self) -> None:
        self.closed = True
        self.do("close")


class FakeCursor:
    """A plain PEP 249 cursor over the rows of its connection."""

    lastrowid = 7

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.arraysize = 1
        self._left: Iterator[tuple[Any, ...]] = iter(())

    @property
    def description(self) -> tuple[tuple[str], ...]:
        return (("n",),)

    def execute(self, *args: Any, **options: Any) -> FakeCursor:
        self.connection.do("execute")
        if not self.connection.autocommit:
            self.connection.status = TransactionStatus.IN_TRANSACTION
        self.arguments, self.options = args, options
        self._left = iter(self.connection.rows)
        return self

    def executemany(self, *args: Any, **options: Any) -> FakeCursor:
        self.connection.do("executemany")
        self.arguments, self.options = args, options
        return self

    def callproc(self, name: str) -> str:
        self.connection.do("callproc")
        return name

    def nextset(self) -> bool:
        self.connection.do("nextset")
        return True

    def fetchone(self) -> tuple[Any, ...] | None:
        self.connection.do("fetchone")
        return next(self._left, None)

    def fetchmany(self, size: int = 2) -> list[tuple[Any, ...]]:
        self.connection.do("fetchmany")
        return [row for _, row in zip(range(size), self._left, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        self.connection.do("fetchall")
        return list(self._left)

    def close(self) -> None:
        self.connection.do("close cursor")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class CheckedFakeCursor(CheckedCursor, FakeCursor, also=("callproc", "close", "nextset")):
    """The same with the mixin laid over it."""


class FakeBackend(
    SupportsConfigure[FakeConnection],
    SupportsClose[FakeConnection],
    SupportsPing[FakeConnection],
    SupportsIsBroken[FakeConnection],
    SupportsTransactionStatus[FakeConnection],
    SupportsTransactions[FakeConnection],
    SupportsAutocommit[FakeConnection],
    SupportsSavepoints[FakeConnection],
    SupportsReadOnly[FakeConnection],
    SupportsCancel[FakeConnection],
    SupportsServerVersion[FakeConnection],
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsNamedCursor[FakeConnection, FakeCursor],
    SupportsThreadSafety,
    BaseBackend[ConnectionSettings, dict[str, str], FakeConnection, FakeCursor],
    vendor="fake",
):
    """Every ability, each of which is a step of the driver's log."""

    def __init__(self, settings: ConnectionSettings, driver: Driver, *, threadsafety: int = 1) -> None:
        super().__init__(settings)
        self.driver = driver
        self.level = threadsafety
        self.cursor_class: type[FakeCursor] = FakeCursor

    @override
    def get_connection_params(self) -> dict[str, str]:
        self.driver.play("params")
        return {"name": self.settings.name}

    @override
    def get_new_connection(self, params: dict[str, str], /) -> FakeConnection:
        return self.driver.connect()

    @override
    def configure_connection(self, connection: FakeConnection, /) -> None:
        connection.do("configure_connection")

    @override
    def init_connection_state(self, connection: FakeConnection, /) -> None:
        connection.do("init_connection_state")

    @override
    def _cursor(self, connection: FakeConnection, /) -> FakeCursor:
        connection.do("cursor")
        return self.cursor_class(connection)

    @override
    def close_connection(self, connection: FakeConnection, /) -> None:
        connection.close()

    @override
    def ping(self, connection: FakeConnection, /) -> None:
        connection.do("ping")

    @override
    def is_broken(self, connection: FakeConnection, /) -> bool:
        connection.do("is_broken")
        return connection.broken

    @override
    def transaction_status(self, connection: FakeConnection, /) -> TransactionStatus:
        connection.do("transaction_status")
        return connection.status

    @override
    def begin(self, connection: FakeConnection, /) -> None:
        connection.do("begin", TransactionStatus.IN_TRANSACTION)

    @override
    def commit(self, connection: FakeConnection, /) -> None:
        connection.do("commit", TransactionStatus.IDLE)

    @override
    def rollback(self, connection: FakeConnection, /) -> None:
        connection.do("rollback", TransactionStatus.IDLE)

    @override
    def set_autocommit(self, connection: FakeConnection, autocommit: bool, /) -> None:
        connection.do("set_autocommit")
        connection.autocommit = autocommit

    @override
    def savepoint(self, connection: FakeConnection, name: str, /) -> None:
        connection.do("savepoint")

    @override
    def release_savepoint(self, connection: FakeConnection, name: str, /) -> None:
        connection.do("release_savepoint")

    @override
    def rollback_to_savepoint(self, connection: FakeConnection, name: str, /) -> None:
        connection.do("rollback_to_savepoint")

    @override
    def set_read_only(self, connection: FakeConnection, read_only: bool, /) -> None:
        connection.do("set_read_only")

    @override
    def cancel(self, connection: FakeConnection, /) -> None:
        self.driver.play("cancel")

    @override
    def server_version(self, connection: FakeConnection, /) -> tuple[int, ...]:
        connection.do("server_version")
        return (1, 2)

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return "gone" in str(error)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return self.driver

    @override
    def named_cursor(self, connection: FakeConnection, name: str, /) -> FakeCursor:
        connection.do("named_cursor")
        return self.cursor_class(connection)

    @property
    @override
    def threadsafety(self) -> int:
        return self.level


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


FakeWrapper = DatabaseWrapper[FakeConnection, FakeCursor]


def fake_wrapper(
    driver: Driver,
    alias: str = "default",
    *,
    threadsafety: int = 1,
    cursor_class: type[FakeCursor] = FakeCursor,
    clock: Callable[[], float] | None = None,
    **settings: Any,
) -> FakeWrapper:
    backend = FakeBackend(ConnectionSettings(name="fake", **settings), driver, threadsafety=threadsafety)
    backend.cursor_class = cursor_class
    return DatabaseWrapper(backend, alias, clock=clock or Clock())


def sqlite_wrapper(name: str | Path = ":memory:", alias: str = "default", **settings: Any) -> DatabaseWrapper[Any, Any]:
    return DatabaseWrapper(SQLiteBackend(SQLiteSettings(name=str(name), **settings)), alias)


class Worker:
    """One other thread, which runs *function* and keeps what came of it."""

    def __init__(self, function: Callable[[], Any], name: str | None = None) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the other thread hangs"
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return self._result


def in_thread(function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What *function* returns, or raises, in another thread."""
    result: R = Worker(lambda: function(*args, **options), name="foreign").result()
    return result


def in_interpreter(scenario: Callable[..., object], *args: object) -> str:
    """Run *scenario*, a function of a test module, in a new interpreter; returns what it printed."""
    module = f"tests.core.{Path(scenario.__code__.co_filename).stem}"
    return run_source(f"import sys; from {module} import {scenario.__name__} as run; run(*sys.argv[1:])", *args)


def run_source(code: str, *args: object) -> str:
    """Run *code* in a new interpreter; returns what it printed.

    Any word on the error stream fails: an error in a finalizer shows there and nowhere else.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
