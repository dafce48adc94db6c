"""The rows of statements on PostgreSQL: what is laid over psycopg, beside a round trip to a server.

Each contender runs in a process of its own. psycopg is written in Python, and the interpreter specializes its code
for the cursor class that it meets most: in one process whoever brings a subclass would pay for the others' plain one.
"""

import gc
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmarks import workload
from benchmarks.measure import Sampler, quiet_collector, timed_sampler
from benchmarks.pool_peers import server
from benchmarks.postgresql_peers import CONTENDERS, ROW_BY_KEY, SELECT_1, Query, staged
from benchmarks.rows import Row, Source, WrongResultError, at_most
from conformance.servers.postgresql import URL_VARIABLE

SAMPLE_NS = 20_000_000
"""Longer than without a server: the scheduler has a part in every round trip."""


def timed(query: Query) -> Source:
    """CPU time of the calling thread for the query; the server's own is not in it."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        child = context.Process(target=sampling, args=(server(), name, query, there), daemon=True)
        child.start()
        there.close()  # the child has its own; so its death ends the wait here
        try:
            answer(here)
            yield lambda: asked(here)
        finally:
            here.close()  # which ends the child
            child.join()

    return source


def asked(pipe: "Connection[object, object]") -> float:
    """One sample."""
    pipe.send(None)
    return answer(pipe)


def answer(pipe: "Connection[object, object]") -> float:
    """What the child has to say, an error included."""
    found = pipe.recv()
    if isinstance(found, Exception):
        raise found
    assert isinstance(found, float)
    return found


def sampling(url: str, name: str, query: Query, pipe: "Connection[object, object]") -> None:
    """The child: a sample each time it is asked, until nobody asks any more."""
    os.environ[URL_VARIABLE] = url
    try:
        with staged(name, query) as loop, quiet_collector():
            result = loop(1)
            if result != query.expected:
                raise WrongResultError(f"{name} {query.statement}: expected {query.expected!r}, got {result!r}")
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
        name="pg_select_1",
        summary="cursor(), SELECT 1, fetchone, close on PostgreSQL, the connection held",
        contenders=tuple(CONTENDERS),
        source=timed(SELECT_1),
        targets=(at_most("ours", "raw", 1.03),),
    ),
    Row(
        name="pg_row_by_key",
        summary=f"the same for 5 columns by primary key, a parameter, a table of {workload.ROWS} rows",
        contenders=tuple(CONTENDERS),
        source=timed(ROW_BY_KEY),
        targets=(at_most("ours", "raw", 1.03),),
    ),
)
