"""Pools under many threads: the rate, who got how much of it, and how long the longest wait was."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.rows import WrongResultError

Lease = Callable[[], object]
"""One acquisition, one round trip to the server, one return; the row that came back."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    rate: float
    unluckiest: float
    """The share of the thread that got least, as a part of the mean."""
    longest_wait: float
    """Seconds of the longest lease, its wait included."""


class _Worker(threading.Thread):
    def __init__(self, lease: Lease, start: threading.Barrier, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.lease, self.begin, self.stop = lease, start, stop
        self.done, self.longest = 0, 0.0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def work(self) -> None:
        lease, clock, stopped = self.lease, time.perf_counter, self.stop.is_set
        self.begin.wait()
        while not stopped():
            before = clock()
            if lease() != (1,):
                raise WrongResultError("a lease returned another row than it asked for")
            self.longest = max(self.longest, clock() - before)
            self.done += 1


def under_load(lease: Lease, *, threads: int, seconds: float) -> Load:
    """Let so many threads lease at once for so long."""
    stop = threading.Event()
    start = threading.Barrier(threads + 1)
    workers = [_Worker(lease, start, stop) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    stop.wait(seconds)
    stop.set()
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
        if worker.error is not None:
            raise worker.error
    counts = [worker.done for worker in workers]
    mean = sum(counts) / threads
    return Load(sum(counts) / took, min(counts) / mean, max(worker.longest for worker in workers))


def select_one(connection: Any) -> object:
    """The statement of every lease, by a cursor of the driver's own."""
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    row: object = cursor.fetchone()
    cursor.close()
    return row
