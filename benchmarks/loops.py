"""The loops that are timed, written once for everything that hands out cursors.

An operation stands inline in its loop, so that no call of ours is timed with it. Every contender runs a
copy of the loop's code of its own: the interpreter specializes code for the types it meets, and one
contender's specialization would otherwise slow the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from types import FunctionType
from typing import Any, Protocol

from benchmarks import workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener


class CursorSource(Protocol):
    """A connection, a wrapper, a database: what a cursor is asked of."""

    def cursor(self) -> Any:
        """A new cursor."""


Session = Callable[[str], AbstractContextManager[CursorSource]]
"""Opens a database by its path and closes it again."""


def fill(source: CursorSource) -> None:
    """Make the table of items."""
    for statement in (workload.CREATE_ITEMS, workload.FILL_ITEMS):
        cursor = source.cursor()
        cursor.execute(statement)
        cursor.close()


def staged(session: Session, loop_of: Callable[[CursorSource], Loop], *, on_file: bool = False) -> Opener:
    """An operation of a peer: its session opened, the table of items made, and the loop over it."""

    @contextmanager
    def opener() -> Iterator[Loop]:
        with workload.place(on_file=on_file) as path, session(path) as source:
            fill(source)
            yield with_own_code(loop_of(source))

    return opener


class Handler(Protocol):
    """What a wrapper is asked of by its alias: an application's ``connections``."""

    def __getitem__(self, alias: str, /) -> CursorSource:
        """The wrapper of the calling thread."""
        ...


Handlers = Callable[[str], AbstractContextManager[Handler]]
"""Opens a handler whose ``default`` is the database of that path."""


def looked_up(handlers: Handlers, loop_of: Callable[[Handler], Loop]) -> Opener:
    """An operation that begins with ``connections[alias]``: as `staged`, and the loop over the handler."""

    @contextmanager
    def opener() -> Iterator[Loop]:
        with handlers(workload.MEMORY) as connections:
            fill(connections["default"])
            yield with_own_code(loop_of(connections))

    return opener


def ten_lookups(connections: Handler) -> Loop:
    """``connections[alias]`` ten times, so that the loop's own cost is no part of it worth naming."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]
            connections["default"]

    return loop


def select_with_alias(connections: Handler) -> Loop:
    """One row by a cursor in a ``with`` block, the wrapper looked up each time."""

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            with connections["default"].cursor() as cursor:
                cursor.execute(workload.SELECT_ONE)
                row = cursor.fetchone()
        return row

    return loop


def with_own_code(loop: Loop) -> Loop:
    """The same function over a fresh, not yet specialized copy of its code."""
    assert isinstance(loop, FunctionType)
    return FunctionType(loop.__code__.replace(), loop.__globals__, loop.__name__, None, loop.__closure__)


def cursor_close(source: CursorSource) -> Loop:
    """Make a cursor and close it."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            source.cursor().close()

    return loop


def select_with(source: CursorSource) -> Loop:
    """One row by a cursor in a ``with`` block."""

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            with source.cursor() as cursor:
                cursor.execute(workload.SELECT_ONE)
                row = cursor.fetchone()
        return row

    return loop


def select_finally(source: CursorSource) -> Loop:
    """The same for a cursor that is no context manager, closed in a ``finally``."""

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            cursor = source.cursor()
            try:
                cursor.execute(workload.SELECT_ONE)
                row = cursor.fetchone()
            finally:
                cursor.close()
        return row

    return loop


def select_plain(source: CursorSource) -> Loop:
    """One row by a cursor that is left to its reference count."""

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            cursor = source.cursor()
            cursor.execute(workload.SELECT_ONE)
            row = cursor.fetchone()
        return row

    return loop


def fetchone_loop(source: CursorSource) -> Loop:
    """Every item, one call each."""

    def loop(count: int) -> object:
        last = None
        for _ in repeat(None, count):
            cursor = source.cursor()
            cursor.execute(workload.SELECT_ITEMS)
            while (row := cursor.fetchone()) is not None:
                last = row
        return last

    return loop


def iterate(source: CursorSource) -> Loop:
    """Every item, by iteration over the cursor."""

    def loop(count: int) -> object:
        last = None
        for _ in repeat(None, count):
            cursor = source.cursor()
            cursor.execute(workload.SELECT_ITEMS)
            for row in cursor:
                last = row
        return last

    return loop


def integrity_error(error: type[Exception]) -> Callable[[CursorSource], Loop]:
    """A duplicate key, caught as that error, on a cursor that is kept."""

    def loop_of(source: CursorSource) -> Loop:
        cursor = source.cursor()

        def loop(count: int) -> int:
            caught = 0
            for _ in repeat(None, count):
                try:
                    cursor.execute(workload.DUPLICATE)
                except error:
                    caught += 1
            return caught

        return loop

    return loop_of
