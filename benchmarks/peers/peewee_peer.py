"""peewee below its query builder: ``execute_sql``, which is where it translates the driver's errors."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat
from typing import Any

from benchmarks import loops, workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener

peewee: Any = importlib.import_module("peewee")


@contextmanager
def session(path: str) -> Iterator[Any]:
    """One open database on that database."""
    with closing(peewee.SqliteDatabase(path)) as database:
        yield database


def select_executed(database: Any) -> Loop:
    """One row by a cursor of ``execute_sql``, closed in a ``finally``."""

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            cursor = database.execute_sql(workload.SELECT_ONE)
            try:
                row = cursor.fetchone()
            finally:
                cursor.close()
        return row

    return loop


OPERATIONS: Mapping[str, Opener] = {
    "cursor_close": loops.staged(session, loops.cursor_close),
    "select_with": loops.staged(session, select_executed),
}
