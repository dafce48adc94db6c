"""SQLAlchemy Core: an engine with its usual pool, in autocommit like everybody else here.

It hands out connections rather than cursors, so one of those is taken from the pool for each operation.
Statements are strings for everybody, so ``exec_driver_sql`` runs them here, which is its fastest way;
``text()`` costs it a third more.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from benchmarks import workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener

sqlalchemy: Any = importlib.import_module("sqlalchemy")


@contextmanager
def engine_at(path: str) -> Iterator[Any]:
    """An engine over the table of items, with the pool that it takes for a file or a server."""
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}",
        isolation_level="AUTOCOMMIT",
        poolclass=sqlalchemy.QueuePool,
        pool_size=1,
        max_overflow=0,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(workload.CREATE_ITEMS)
        connection.exec_driver_sql(workload.FILL_ITEMS)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def select_with() -> Iterator[Loop]:
    """One row by a connection in a ``with`` block."""
    with engine_at(workload.MEMORY) as engine:

        def loop(count: int) -> object:
            row = None
            for _ in repeat(None, count):
                with engine.connect() as connection:
                    row = connection.exec_driver_sql(workload.SELECT_ONE).fetchone()
            return row

        yield loop


def integrity_error(*, on_file: bool) -> Opener:
    """A duplicate key, caught, on a connection that is kept."""

    @contextmanager
    def opener() -> Iterator[Loop]:
        with (
            workload.place(on_file=on_file) as path,
            engine_at(path) as engine,
            engine.connect() as connection,
        ):
            yield duplicates(connection, sqlalchemy.exc.IntegrityError)

    return opener


def duplicates(connection: Any, error: type[Exception]) -> Loop:
    """The loop over the duplicate key."""

    def loop(count: int) -> int:
        caught = 0
        for _ in repeat(None, count):
            try:
                connection.exec_driver_sql(workload.DUPLICATE)
            except error:
                caught += 1
        return caught

    return loop


OPERATIONS: Mapping[str, Opener] = {
    "select_with": select_with,
    "integrity_error": integrity_error(on_file=True),
    "integrity_error_in_memory": integrity_error(on_file=False),
}
