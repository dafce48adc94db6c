"""The rows of statements on PostgreSQL: what is laid over psycopg, beside a round trip to a server.

Each contender runs in a process of its own. psycopg is written in Python, and the interpreter specializes its code
for the cursor class that it meets most: in one process whoever brings a subclass would pay for the others' plain one.
"""

import os
from multiprocessing.connection import Connection

from benchmarks import workload
from benchmarks.children import in_child, serve
from benchmarks.pool_peers import server
from benchmarks.postgresql_peers import CONTENDERS, ROW_BY_KEY, SELECT_1, Query, staged
from benchmarks.rows import Row, Source, at_most
from conformance.servers.postgresql import URL_VARIABLE


def timed(query: Query) -> Source:
    """CPU time of the calling thread for the query; the server's own is not in it."""
    return lambda name: in_child(sampling, server(), name, query)


def sampling(url: str, name: str, query: Query, pipe: "Connection[object, object]") -> None:
    """The child."""
    os.environ[URL_VARIABLE] = url
    serve(staged(name, query), f"{name} {query.statement}", query.expected, pipe)


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
