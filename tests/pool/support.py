"""A backend that can reset, over the driver that does as it is told; a clock that is moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from backend_sdk import ConnectionSettings, SupportsReset, TransactionStatus
from reference_backends._pool.turns import Turns
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from tests.core.fakes import PATIENCE, Driver, FakeBackend, FakeConnection, FakeCursor

Pooled = PooledBackend[FakeConnection, FakeCursor]


class Resettable(SupportsReset[FakeConnection], FakeBackend, vendor="fake"):
    """`FakeBackend`, and it can be pooled."""

    @override
    def reset(self, connection: FakeConnection, /) -> None:
        connection.do("reset", TransactionStatus.IDLE)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """One test's pools, tended by hand, on a driver of its own."""

    def __init__(self, *, limit: int | None = None) -> None:
        self.clock = Clock()
        self.driver = Driver()
        self.pools = Pools(limit=limit, clock=self.clock, chance=lambda: 0.0, background=False)

    def backend(self, name: str = "first", **options: Any) -> Pooled:
        settings = ConnectionSettings(engine="fake", name=name)
        return PooledBackend(Resettable(settings, self.driver), PoolOptions(**options), pools=self.pools)

    def steps(self) -> list[str]:
        """What the driver was asked to do since the last look."""
        seen, self.driver.log[:] = list(self.driver.log), []
        return seen


def acquire(backend: PooledBackend[Any, Any]) -> Any:
    """As a wrapper does."""
    return backend.get_new_connection(backend.get_connection_params())


def balanced(backend: PooledBackend[Any, Any]) -> bool:
    """Whether every slot of the pool is accounted for."""
    now = backend.pool.statistics()
    return now.size == now.idle + now.leased


class Thread(threading.Thread):
    """A thread whose error is the test's."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    @override
    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error

    def finish(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "the thread hangs"
        if self.error is not None:
            raise self.error
        return self.result


@contextmanager
def busy(turns: Turns[Any]) -> Iterator[None]:
    """As if another thread were just matching waiters."""
    turns._at_it[""] = object()
    try:
        yield
    finally:
        turns._at_it.clear()


def waiting(backend: PooledBackend[Any, Any], number: int) -> None:
    """Return once *number* threads wait for the pool."""
    _until(lambda: backend.pool.statistics().waiting >= number, f"{number} threads to wait: {backend.pool}")


def standing_in_line(turns: Turns[Any], number: int) -> None:
    """Return once *number* threads wait there."""
    _until(lambda: turns.waiting >= number, f"{number} threads to wait")


def _until(happened: Callable[[], bool], what: str) -> None:
    done = threading.Event()  # never set: it is a pause that does not count as the test's time
    for _ in range(int(PATIENCE * 200)):
        if happened():
            return
        done.wait(0.005)
    raise AssertionError(f"waited in vain for {what}")
