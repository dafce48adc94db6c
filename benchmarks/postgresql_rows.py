"""The rows of statements on PostgreSQL: what is laid over psycopg, beside a round trip to a server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import workload
from benchmarks.measure import Sampler, timed_sampler
from benchmarks.postgresql_peers import CONTENDERS, ROW_BY_KEY, SELECT_1, Query, staged
from benchmarks.rows import Row, Source, WrongResultError, at_most

SAMPLE_NS = 20_000_000
"""Longer than without a server: the scheduler has a part in every round trip."""


def timed(query: Query) -> Source:
    """CPU time of the calling thread for the query; the server's own is not in it."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        with staged(name, query) as loop:
            result = loop(1)
            if result != query.expected:
                raise WrongResultError(f"{name} {query.statement}: expected {query.expected!r}, got {result!r}")
            yield timed_sampler(loop, time.thread_time_ns, SAMPLE_NS)

    return source


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
