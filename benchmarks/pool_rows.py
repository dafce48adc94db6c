"""The rows of the pools: alone, over PostgreSQL, and with 32 threads on 4 connections."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from operator import attrgetter

from benchmarks.measure import Sampler, timed_sampler
from benchmarks.pool_load import under_load
from benchmarks.pool_peers import NULL, SERVED
from benchmarks.rows import Row, Source, Target, WrongResultError, at_least, at_most

THREADS = 32
SECONDS = 1.0
"""Of one sample under load."""


@contextmanager
def null(name: str) -> Iterator[Sampler]:
    with NULL[name]() as loop:
        loop(1)  # what opens connections and starts threads tells nothing of how many calls make a sample
        yield timed_sampler(loop, time.thread_time_ns)


@contextmanager
def served(name: str) -> Iterator[Sampler]:
    with SERVED[name]() as lease:
        if lease() != (1,):
            raise WrongResultError(name)

        def loop(count: int) -> None:
            for _ in range(count):
                lease()

        yield timed_sampler(loop, time.thread_time_ns, 20_000_000)


@cache
def loaded(figure: str) -> Source:
    """One figure of the load on each contender."""
    read = attrgetter(figure)

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        with SERVED[name]() as lease:
            under_load(lease, threads=THREADS, seconds=0.2)
            yield lambda: float(read(under_load(lease, threads=THREADS, seconds=SECONDS)))

    return source


LOADED = ("ours, trusted", "psycopg_pool", "sqlalchemy")

ROWS = (
    Row(
        name="pool_alone",
        summary="acquire and release in one thread, over a driver that does nothing",
        contenders=("ours", "ours, asked", "psycopg_pool", "sqlalchemy"),
        source=null,
        baseline="ours",
        targets=(at_least("psycopg_pool", "ours", 8), at_least("sqlalchemy", "ours", 18)),  # 19.5 to 22
    ),
    Row(
        name="pool_select",
        summary="lease, SELECT 1 on PostgreSQL, return; the peers' own way is without a reset",
        contenders=tuple(SERVED),
        source=served,
        baseline="held",
        targets=(at_most("ours, trusted", "held", 1.05),),
    ),
    Row(
        name="pool_rate",
        summary=f"leases with SELECT 1 per second, {THREADS} threads on 4 connections",
        contenders=LOADED,
        source=loaded("rate"),
        baseline="psycopg_pool",
        targets=(at_least("ours, trusted", "psycopg_pool", 1.1),),
        unit="1/s",
        rounds=5,
    ),
    Row(
        name="pool_unluckiest",
        summary="the same: the share of the thread that got least, as a part of the mean",
        contenders=LOADED,
        source=loaded("unluckiest"),
        baseline=None,
        targets=(Target("ours, trusted", None, 0.8, at_least=True),),
        unit="of mean",
        rounds=5,
    ),
    Row(
        name="pool_longest_wait",
        summary="the same: the longest that any lease took, its wait included",
        contenders=LOADED,
        source=loaded("longest_wait"),
        baseline="psycopg_pool",
        targets=(at_most("ours, trusted", "psycopg_pool", 2),),
        unit="s",
        rounds=5,
    ),
)
