"""The driver by itself: the floor that everything else is held against.

Cursors are closed in a ``finally``, which costs next to nothing; ``contextlib.closing`` would add two
calls in Python to the floor and flatter everybody else. A connection is opened with what the reference
backend passes, and its session brought to the same state by the same statements.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat

from benchmarks import loops, workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener


def connect(path: str) -> sqlite3.Connection:
    """A session as the reference backend makes it, written out by hand."""
    connection = sqlite3.connect(
        database=path,
        timeout=5.0,
        detect_types=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
        uri=False,
    )
    connection.execute("PRAGMA foreign_keys=1").close()
    return connection


@contextmanager
def session(path: str) -> Iterator[sqlite3.Connection]:
    """One open connection to that database."""
    with closing(connect(path)) as connection:
        yield connection


@contextmanager
def fresh_connection() -> Iterator[Loop]:
    """Open a connection to a file, bring its session to what is asked, and close it."""
    with workload.database_file() as path:

        def loop(count: int) -> None:
            for _ in repeat(None, count):
                connect(path).close()

        yield loop


OPERATIONS: Mapping[str, Opener] = {
    "cursor_close": loops.staged(session, loops.cursor_close),
    "select_with": loops.staged(session, loops.select_finally),
    "select_plain": loops.staged(session, loops.select_plain),
    "fetchone_loop": loops.staged(session, loops.fetchone_loop),
    "iterate": loops.staged(session, loops.iterate),
    "integrity_error": loops.staged(session, loops.integrity_error(sqlite3.IntegrityError), on_file=True),
    "integrity_error_in_memory": loops.staged(session, loops.integrity_error(sqlite3.IntegrityError)),
    "fresh_connection": fresh_connection,
}
