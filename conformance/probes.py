"""Instruments for checks: a backend that records and can be told to fail, a connection that is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from backend_sdk import DelegatingBackend, SupportsLeases, ThreadSharingError

if TYPE_CHECKING:
    from backend_sdk import Backend

    from .subject import AnyBackend

__all__ = [
    "CountingBackend",
    "RecordingBackend",
    "allowed_here",
    "at_once",
    "in_thread",
    "of_lasting_threads",
    "open_raw",
    "opened",
    "settles",
]

R = TypeVar("R")


class RecordingBackend(DelegatingBackend[Any, Any, Any, Any]):
    """The backend under test, with a log of the calls it gets and, where told so, a failure in one of them.

    ``log`` has the methods' names in order; ``opened`` and ``closed`` the connections. *fail_in* names a method
    that raises *error* after the real one has done its work.
    """

    def __init__(
        self, wrapped: Backend[Any, Any, Any], *, fail_in: str = "", error: Callable[[], BaseException] = RuntimeError
    ) -> None:
        super().__init__(wrapped)
        self.log: list[str] = []
        self.opened: list[Any] = []
        self.closed: list[Any] = []
        self._fail_in = fail_in
        self._error = error

    def _note(self, name: str) -> None:
        self.log.append(name)
        if name == self._fail_in:
            raise self._error()

    @override
    def get_connection_params(self) -> Any:
        params = super().get_connection_params()
        self._note("get_connection_params")
        return params

    @override
    def get_new_connection(self, params: Any, /) -> Any:
        connection = super().get_new_connection(params)
        self.opened.append(connection)
        self._note("get_new_connection")
        return connection

    @override
    def configure_connection(self, connection: Any, /) -> None:
        super().configure_connection(connection)
        self._note("configure_connection")

    @override
    def set_autocommit(self, connection: Any, autocommit: bool, /) -> None:
        super().set_autocommit(connection, autocommit)
        self._note("set_autocommit")

    @override
    def init_connection_state(self, connection: Any, /) -> None:
        super().init_connection_state(connection)
        self._note("init_connection_state")

    @override
    def _cursor(self, connection: Any, /) -> Any:
        cursor = super()._cursor(connection)
        self._note("_cursor")
        return cursor

    @override
    def close_connection(self, connection: Any, /) -> None:
        self.closed.append(connection)
        super().close_connection(connection)
        self._note("close_connection")

    @override
    def drop_connection(self, connection: Any, /) -> None:
        if SupportsLeases not in self.abilities:
            return self.close_connection(connection)
        self.closed.append(connection)
        super().drop_connection(connection)
        return self._note("close_connection")


def in_thread(function: Callable[[], R]) -> R:
    """*function*'s result from a new thread; what it raises is raised here."""
    outcome: list[R] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="conformance-other")
    thread.start()
    thread.join()
    if failure:
        try:
            raise failure[0]
        finally:
            failure.clear()  # or the error's traceback would hold this frame, and the frame the error
    return outcome[0]


def of_lasting_threads(count: int, function: Callable[[], R]) -> Generator[R, None, None]:
    """*function*'s results from up to *count* threads one after another; none ends before the generator does.

    The system gives an ended thread's ident to a later one, but as a rule the latest to end is the first to be
    reused: threads that end at once would hand one ident around among themselves.
    """
    leave = threading.Event()
    threads: list[threading.Thread] = []

    def run(result: Future[R]) -> None:
        try:
            result.set_result(function())
        except BaseException as error:
            result.set_exception(error)
        leave.wait()

    try:
        for _ in range(count):
            result: Future[R] = Future()
            threads.append(threading.Thread(target=run, args=(result,), name="conformance-lasting"))
            threads[-1].start()
            yield result.result()
    finally:
        leave.set()
        for thread in threads:
            thread.join()


class CountingBackend(DelegatingBackend[Any, Any, Any, Any]):
    """The backend under test, counting what it opens and closes without keeping hold of any connection."""

    def __init__(self, wrapped: Backend[Any, Any, Any]) -> None:
        super().__init__(wrapped)
        self.opens = 0
        self.closes = 0
        self.close_errors: list[str] = []

    @override
    def get_new_connection(self, params: Any, /) -> Any:
        self.opens += 1
        return super().get_new_connection(params)

    @override
    def close_connection(self, connection: Any, /) -> None:
        self._count_close(super().close_connection, connection)

    @override
    def drop_connection(self, connection: Any, /) -> None:
        if SupportsLeases not in self.abilities:
            return self.close_connection(connection)
        return self._count_close(super().drop_connection, connection)

    def _count_close(self, close: Callable[[Any], None], connection: Any) -> None:
        self.closes += 1
        try:
            close(connection)
        except Exception as error:
            self.close_errors.append(f"{type(error).__name__}: {error}")
            raise


def open_raw(view: AnyBackend) -> Any:
    """A connection opened as a wrapper opens it, without one."""
    connection = view.get_new_connection(view.get_connection_params())
    view.configure_connection(connection)
    view.set_autocommit(connection, True)
    view.init_connection_state(connection)
    return connection


@contextmanager
def opened(view: AnyBackend) -> Iterator[Any]:
    """`open_raw` for the block; closed at its end, whatever became of it."""
    connection = open_raw(view)
    try:
        yield connection
    finally:
        try:
            view.close_connection(connection)
        except Exception:  # the check has said what is wrong with it
            pass


def at_once(count: int, function: Callable[[int], R]) -> list[R]:
    """*function* of 0, 1, ... in *count* threads that start together; the first error is raised here."""
    barrier = threading.Barrier(count)
    results: dict[int, R] = {}
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            results[number] = function(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        try:
            raise failures[0]
        finally:
            failures.clear()
    return [results[number] for number in range(count)]


def settles(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether *condition* comes true within *seconds*: a server notices the end of a session a moment later."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True


def allowed_here(calls: Mapping[str, Callable[[], object]]) -> list[str]:
    """Which of *calls* the calling thread or task may make: those that are not refused for who it is."""
    allowed: list[str] = []
    for name, call in calls.items():
        try:
            call()
        except (ThreadSharingError, AttributeError, NotImplementedError):  # or the driver has no such method
            continue
        except Exception:  # it got as far as the driver, or further
            pass
        allowed.append(name)
    return allowed
