"""The SDK as a contender; all that the benchmarks know of its interface is in this file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat

from backend_sdk import Connections, DatabaseWrapper
from backend_sdk.errors import IntegrityError
from benchmarks import loops, workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings


@contextmanager
def session(path: str) -> Iterator[loops.CursorSource]:
    """One open wrapper on that database."""
    with closing(DatabaseWrapper(SQLiteBackend(SQLiteSettings(name=path)))) as wrapper:
        yield wrapper


@contextmanager
def handler(path: str) -> Iterator[loops.Handler]:
    """A handler with that database."""
    connections = Connections({"default": SQLiteBackend(SQLiteSettings(name=path))})
    yield connections
    connections.close_all()


@contextmanager
def fresh_connection() -> Iterator[Loop]:
    """Open one wrapper's connection to a file, and close it."""
    with workload.database_file() as path:
        wrapper = DatabaseWrapper(SQLiteBackend(SQLiteSettings(name=path)))

        def loop(count: int) -> None:
            for _ in repeat(None, count):
                wrapper.connect()
                wrapper.close()

        yield loop


def wrapper_maker() -> Callable[[], object]:
    """Makes unopened wrappers over one backend."""
    backend = SQLiteBackend(SQLiteSettings(name=":memory:"))
    return lambda: DatabaseWrapper(backend)


OPERATIONS: Mapping[str, Opener] = {
    "cursor_close": loops.staged(session, loops.cursor_close),
    "connections_alias": loops.looked_up(handler, loops.ten_lookups),
    "select_with": loops.looked_up(handler, loops.select_with_alias),
    "select_plain": loops.staged(session, loops.select_plain),
    "fetchone_loop": loops.staged(session, loops.fetchone_loop),
    "iterate": loops.staged(session, loops.iterate),
    "integrity_error": loops.staged(session, loops.integrity_error(IntegrityError), on_file=True),
    "integrity_error_in_memory": loops.staged(session, loops.integrity_error(IntegrityError)),
    "fresh_connection": fresh_connection,
}
