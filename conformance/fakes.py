"""A scripted driver without a server: it answers what it is told, and fails where it is told.

::

    server = FakeServer()
    server.answer("SELECT 1", [(1,)])
    server.fail("commit", OperationalError("disk full"))          # the next commit fails
    server.fail("execute", OperationalError("gone"), after=2)     # the third execute fails
    wrapper = DatabaseWrapper(FakeBackend.on(server))
    server.terminate_all()                                        # as an administrator would

Steps: ``connect``, ``configure``, ``init``, ``autocommit``, ``cursor``, ``execute``, ``fetch``, ``begin``, ``commit``,
``rollback``, ``ping``, ``reset``, ``close``. Everything that happens is in ``server.log``. One `FakeServer` may serve
several threads; its script is taken under a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypedDict

from typing_extensions import override

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    ErrorClasses,
    ImproperlyConfigured,
    Options,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsConfigure,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsIsBroken,
    SupportsPing,
    SupportsReset,
    SupportsThreadSafety,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

__all__ = ["STEPS", "FakeBackend", "FakeConnection", "FakeCursor", "FakeDriver", "FakeServer"]

STEPS = (
    "connect", "configure", "init", "autocommit", "cursor", "execute", "fetch", "begin", "commit", "rollback", "ping",
    "reset", "close",
)  # fmt: skip


class FakeDriver:
    """The driver's module globals, as PEP 249 wants them."""

    apilevel = "2.0"
    threadsafety = 1
    paramstyle = "qmark"

    class Warning(Exception): ...

    class Error(Exception): ...

    class InterfaceError(Error): ...

    class DatabaseError(Error): ...

    class DataError(DatabaseError): ...

    class OperationalError(DatabaseError): ...

    class IntegrityError(DatabaseError): ...

    class InternalError(DatabaseError): ...

    class ProgrammingError(DatabaseError): ...

    class NotSupportedError(DatabaseError): ...


DRIVER = FakeDriver()


class _Lost(FakeDriver.OperationalError):
    """What a terminated session answers."""


@dataclass
class _Planned:
    error: BaseException
    after: int
    times: int


@dataclass
class FakeServer:
    """Holds the sessions, the answers and the script."""

    log: list[str] = field(default_factory=list)
    sessions: list[FakeConnection] = field(default_factory=list)
    answers: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    _script: dict[str, list[_Planned]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Give *rows* for *sql* from now on; any other statement gives none."""
        self.answers[sql] = [tuple(row) for row in rows]

    def fail(self, step: str, error: BaseException, *, after: int = 0, times: int = 1) -> None:
        """Raise *error* at *step*, the first *after* times not, then *times* times."""
        if step not in STEPS:
            raise ValueError(f"there is no step {step!r}; known: {', '.join(STEPS)}")
        with self._lock:
            self._script.setdefault(step, []).append(_Planned(error, after, times))

    def happens(self, step: str, text: str = "") -> None:
        """Log *step*, and raise what the script has for it."""
        with self._lock:
            self.log.append(f"{step} {text}".rstrip())
            for planned in self._script.get(step, []):
                if planned.after > 0:
                    planned.after -= 1
                elif planned.times > 0:
                    planned.times -= 1
                    # Raised anew each time: the script must not collect the frames of whoever met it.
                    raise planned.error.with_traceback(None)

    def terminate_all(self) -> None:
        """End every session from the server's side; the driver notices when it talks next."""
        for session in self.sessions:
            session.terminated = True
        self.sessions.clear()


class FakeConnection:
    """A session of the fake server."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.status = TransactionStatus.IDLE
        self.autocommit = True
        self.closed = False
        self.terminated = False

    def talk(self, step: str, text: str = "") -> None:
        """One exchange with the server."""
        if self.closed:
            raise FakeDriver.InterfaceError("the connection is closed")
        if self.terminated:
            raise _Lost("the server ended the session")
        self.server.happens(step, text)

    def cursor(self) -> FakeCursor:
        return FakeCursor(self)

    def commit(self) -> None:
        self.talk("commit")
        self.status = TransactionStatus.IDLE

    def rollback(self) -> None:
        self.talk("rollback")
        self.status = TransactionStatus.IDLE

    def close(self) -> None:
        """Gone at the server's side even where the script makes it raise."""
        if self.closed:
            return
        self.closed = True
        if self in self.server.sessions:
            self.server.sessions.remove(self)
        self.server.happens("close")


class FakeCursor:
    """Answers from the server's answers."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self._rows: Iterator[tuple[Any, ...]] = iter(())

    def execute(self, operation: str, params: Sequence[Any] | None = None, /) -> Self:
        self.connection.talk("execute", operation)
        rows = self.connection.server.answers.get(operation, [])
        self.description = [("column", None, None, None, None, None, None)] if rows else None
        self.rowcount = len(rows)
        self._rows = iter(rows)
        if not self.connection.autocommit:
            self.connection.status = TransactionStatus.IN_TRANSACTION
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        self.connection.talk("fetch")
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        self.connection.talk("fetch")
        return list(self._rows)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        self.connection.talk("fetch")
        return [row for row, _ in zip(self._rows, range(size), strict=False)]

    def close(self) -> None:
        self._rows = iter(())


class FakeOptions(Options, frozen=True):
    server: str = ""


class FakeSettings(ConnectionSettings, frozen=True):
    """``options.server`` names a server that `FakeBackend.on` has made known."""

    options: FakeOptions = FakeOptions()


class FakeParams(TypedDict):
    server: str


class FakeBackend(
    SupportsConfigure[FakeConnection],
    SupportsPing[FakeConnection],
    SupportsIsBroken[FakeConnection],
    SupportsTransactionStatus[FakeConnection],
    SupportsReset[FakeConnection],
    SupportsTransactions[FakeConnection],
    SupportsAutocommit[FakeConnection],
    SQLSavepoints[FakeConnection],
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[FakeSettings, FakeParams, FakeConnection, FakeCursor],
    vendor="fake",
):
    """A right backend on the fake driver: what goes wrong is the server's script."""

    servers: ClassVar[dict[str, FakeServer]] = {}

    def __init_subclass__(cls, *, vendor: str = "fake", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    @classmethod
    def on(cls, server: FakeServer) -> Self:
        """A backend of *server*."""
        name = f"fake-{id(server)}"
        cls.servers[name] = server
        return cls(FakeSettings(name="fake", options=FakeOptions(server=name)))

    @override
    def get_connection_params(self) -> FakeParams:
        return {"server": self.settings.options.server}

    @override
    def get_new_connection(self, params: FakeParams, /) -> FakeConnection:
        server = self.servers.get(params["server"])
        if server is None:
            raise ImproperlyConfigured(f"there is no fake server {params['server']!r}; use FakeBackend.on(server)")
        server.happens("connect")
        connection = FakeConnection(server)
        server.sessions.append(connection)
        return connection

    @override
    def configure_connection(self, connection: FakeConnection, /) -> None:
        connection.talk("configure")

    @override
    def set_autocommit(self, connection: FakeConnection, autocommit: bool, /) -> None:
        connection.talk("autocommit", str(autocommit))
        connection.autocommit = autocommit

    @override
    def init_connection_state(self, connection: FakeConnection, /) -> None:
        connection.talk("init")

    @override
    def _cursor(self, connection: FakeConnection, /) -> FakeCursor:
        connection.server.happens("cursor")
        return connection.cursor()

    @override
    def ping(self, connection: FakeConnection, /) -> None:
        connection.talk("ping")

    @override
    def is_broken(self, connection: FakeConnection, /) -> bool:
        return connection.closed

    @override
    def transaction_status(self, connection: FakeConnection, /) -> TransactionStatus:
        return connection.status

    @override
    def reset(self, connection: FakeConnection, /) -> None:
        connection.talk("reset")
        connection.status = TransactionStatus.IDLE

    @override
    def begin(self, connection: FakeConnection, /) -> None:
        connection.talk("begin")
        connection.status = TransactionStatus.IN_TRANSACTION

    @override
    def commit(self, connection: FakeConnection, /) -> None:
        connection.commit()

    @override
    def rollback(self, connection: FakeConnection, /) -> None:
        if connection.status is not TransactionStatus.IDLE:
            connection.rollback()

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        return isinstance(error, _Lost)

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return DRIVER

    @property
    @override
    def threadsafety(self) -> int:
        return FakeDriver.threadsafety
