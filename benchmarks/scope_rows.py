"""The rows of a whole request: a scope beside Django's two signals.

Each contender runs in a process of its own, since Django's signals close what they find in the process's only
``connections``.
"""

import gc
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmarks.measure import Sampler, quiet_collector, timed_sampler
from benchmarks.pool_peers import server
from benchmarks.postgresql_rows import answer, asked
from benchmarks.rows import Row, Source, WrongResultError, at_least
from benchmarks.scope_peers import POSTGRESQL, SQLITE
from conformance.servers.postgresql import URL_VARIABLE

SAMPLE_NS = 20_000_000
"""Longer than without a server: the scheduler has a part in every round trip."""


def sampled(*, served: bool) -> Source:
    """CPU time of the calling thread for one request."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        child = context.Process(target=sampling, args=(server() if served else None, name, there), daemon=True)
        child.start()
        there.close()  # the child has its own; so its death ends the wait here
        try:
            answer(here)
            yield lambda: asked(here)
        finally:
            here.close()  # which ends the child
            child.join()

    return source


def sampling(url: str | None, name: str, pipe: "Connection[object, object]") -> None:
    """The child: a sample each time it is asked, until nobody asks any more."""
    if url is not None:
        os.environ[URL_VARIABLE] = url
    try:
        with (SQLITE if url is None else POSTGRESQL)[name]() as loop, quiet_collector():
            result = loop(1)
            if result != (1,):
                raise WrongResultError(f"{name}: expected (1,), got {result!r}")
            sampler = timed_sampler(loop, time.thread_time_ns, SAMPLE_NS)
            pipe.send(0.0)
            while True:
                pipe.recv()
                gc.collect()
                pipe.send(sampler())
    except EOFError:
        pass
    except Exception as error:
        pipe.send(error)


ROWS = (
    Row(
        name="scope_select",
        summary="a scope, or Django's two signals, around connections[alias], SELECT 1, fetchone; a SQLite file",
        contenders=tuple(SQLITE),
        source=sampled(served=False),
        baseline="held",
        # The design's 5 over a Django that keeps its connection came from a prototype that lacked most of what the end
        # of a scope does here. What was reached is gated.
        targets=(
            at_least("django, kept", "ours, pool trusted", 0.8),
            at_least("django, default", "ours, pool trusted", 3.5),
        ),
    ),
    Row(
        name="pg_scope_select",
        summary="the same on PostgreSQL",
        contenders=tuple(POSTGRESQL),
        source=sampled(served=True),
        baseline="held",
        targets=(
            at_least("django, pool", "ours, pool trusted", 1.2),
            at_least("django, default", "ours, pool trusted", 5),
        ),
    ),
)
