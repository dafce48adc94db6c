"""Cursors that check the owner before they act and turn the driver's errors into ours.

`CheckedCursor` is a mixin laid over the driver's own cursor class, so rows, ``description`` and
``rowcount`` stay in the driver: ``class MyCursor(CheckedCursor, driver.Cursor): __slots__ = ("_guard",)``.
A cursor of any other class gets a slotted `CursorWrapper` around it. ``close`` is the driver's own, unless
a class says that it talks to the database.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from . import local
from .guard import given
from .handle import park

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from .guard import Guard

__all__ = ["CheckedCursor", "CursorWrapper", "execute_unchecked", "guarded"]

CursorT = TypeVar("CursorT")

# The hot test, written out in each method since a call would cost as much as the test itself:
# the caller is the owner's thread, and no event loop runs in it.


def _execute(call: Callable[..., Any]) -> Callable[..., Any]:
    """The checked form of *call*, a driver's ``execute``."""

    def execute(self: Any, operation: Any = None, params: Any = None, /, **options: Any) -> Any:
        guard: Guard = self._guard
        if not guard.fast() or local.running_loop():
            return _slow_execute(guard, "execute", partial(call, self), self, operation, params, options)
        try:
            if options:
                return call(self, *given(operation, params), **options)
            if params is None:
                return call(self, operation)
            return call(self, operation, params)
        except guard.errors.caught as error:
            raise guard.failure(error, "execute") from error

    execute.bound_to = call  # type: ignore[attr-defined]  # for `_bind`
    return execute


def _fetch(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The checked form of *call*, a driver's ``fetchone`` or ``fetchall``."""

    def fetch(self: Any) -> Any:
        guard: Guard = self._guard
        if not guard.fast() or local.running_loop():
            return guard.call(name, call, self)
        try:
            return call(self)
        except guard.errors.caught as error:
            raise guard.failure(error, name) from error

    fetch.__name__ = name
    fetch.bound_to = call  # type: ignore[attr-defined]  # for `_bind`
    return fetch


def _next_in_line(name: str) -> Callable[..., Any]:
    """The method *name* of whichever class comes after `CheckedCursor`, looked up at each call."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return getattr(super(CheckedCursor, self), name)(*args, **options)

    return call


def _bind(cls: type) -> None:
    """Give *cls* hot methods bound to its driver's own functions: ``super()`` would cost a fifth of the checks.

    Again for each subclass, which may bring a more special class of the driver along (psycopg's ``ServerCursor``).
    """
    behind = cls.__mro__[cls.__mro__.index(CheckedCursor) + 1 :]
    for name in ("execute", "fetchone", "fetchall"):
        found = next((vars(base)[name] for base in behind if name in vars(base)), None)
        present = getattr(getattr(cls, name), "bound_to", found)  # an author's own has none: it leads here by super()
        if callable(found) and present is not found:
            setattr(cls, name, _execute(found) if name == "execute" else _fetch(name, found))


class CheckedCursor:
    """Lay this over the driver's cursor class, first among the bases; the subclass holds ``_guard``.

    ``also`` names further methods of the driver's that talk to the database (``executescript``, ``copy``; ``close``
    where it reads what is left of a result):
    ``class SQLiteCursor(CheckedCursor, sqlite3.Cursor, also=("executescript",))``.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _guard: Guard

    def __init_subclass__(cls, *, also: tuple[str, ...] = (), **options: Any) -> None:
        super().__init_subclass__(**options)
        _bind(cls)
        for name in also:
            setattr(cls, name, _checked_close(cls) if name == "close" else _checked_method(cls, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            self.close()  # type: ignore[attr-defined]  # the driver's own
        except self._guard.errors.caught as failed:
            if self._guard.connection is not None:  # else the session is over, and took its cursors along
                raise self._guard.failure(failed, "close") from failed

    def fork_inherited(self) -> None:
        """In a forked child: never reset or free the statement, which the parent still runs."""
        park(self)
        # Its class rather than a test in `close`, which is on the way of every cursor in every process.
        object.__setattr__(self, "__class__", _inherited(type(self)))

    # Type checkers see the driver's own signatures instead of these: the methods add checks, not meaning.
    if not TYPE_CHECKING:
        execute = _execute(_next_in_line("execute"))
        fetchone = _fetch("fetchone", _next_in_line("fetchone"))
        fetchall = _fetch("fetchall", _next_in_line("fetchall"))

        def executemany(self, operation=None, params=None, /, **options):
            return _slow_execute(self._guard, "executemany", super().executemany, self, operation, params, options)

        def fetchmany(self, *args, **options):
            return self._guard.call("fetchmany", super().fetchmany, *args, **options)

        def __next__(self):
            if hasattr(super(), "__next__"):
                return self._guard.call("iteration", super().__next__)
            row = self.fetchone()  # iteration is an optional extension of PEP 249; fetchone is not
            if row is None:
                raise StopIteration
            return row

        def __iter__(self):
            # The guard is tested for each row: the block, the lease or the sharing may end between two.
            guard = self._guard
            step = super().__next__ if hasattr(super(), "__next__") else _driver_rows(super()).__next__
            try:
                while True:
                    if not guard.fast() or local.running_loop():
                        row = guard.run("iteration", step)
                    else:
                        row = step()
                    yield row
            except StopIteration:
                return
            except guard.errors.caught as error:
                raise guard.failure(error, "iteration") from error


def _driver_rows(cursor: Any) -> Iterator[Any]:
    """The rows of a driver's cursor that is no iterator by itself."""
    found: Iterator[Any] = cursor.__iter__() if hasattr(cursor, "__iter__") else iter(cursor.fetchone, None)
    return found


def _slow_execute(
    guard: Guard, step: str, call: Callable[..., Any], cursor: object, sql: Any, params: Any, options: Any
) -> Any:
    try:
        return guard.execute(step, call, cursor, sql, params, options)
    except guard.errors.caught as error:
        raise guard.failure(error, step) from error


def _checked_method(cls: type, name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        guard: Guard = self._guard
        guard.check_statement(name)
        result = guard.call(name, getattr(super(cls, self), name), *args, **options)
        if guard.transaction.blocks:  # executescript, a procedure: each may have ended the transaction
            guard.compare(name)
        return result

    method.__name__ = name
    method.__qualname__ = f"{cls.__qualname__}.{name}"
    return method


def _checked_close(cls: type) -> Callable[..., None]:
    def close(self: Any) -> None:
        guard: Guard = self._guard
        if guard.connection is not None:  # else the session is over, and took its cursors along
            guard.call("close", getattr(super(cls, self), "close"))  # noqa: B009 - no class known here has it

    close.__qualname__ = f"{cls.__qualname__}.close"
    return close


def _inherited(cls: type) -> type:
    return type(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, "close": lambda self: None})


class _Delegating:
    """Holds a driver's cursor and hands everything on to it."""

    __slots__ = ("_cursor", "_guard")

    def __init__(self, cursor: Any, guard: Guard) -> None:
        object.__setattr__(self, "_cursor", cursor)
        object.__setattr__(self, "_guard", guard)

    def execute(self, *args: Any, **options: Any) -> Any:
        result = self._cursor.execute(*args, **options)
        return self if result is self._cursor else result  # or the caller's chain would leave the checks behind

    def executemany(self, *args: Any, **options: Any) -> Any:
        result = self._cursor.executemany(*args, **options)
        return self if result is self._cursor else result

    def callproc(self, *args: Any, **options: Any) -> Any:
        return self._cursor.callproc(*args, **options)

    def nextset(self) -> Any:
        return self._cursor.nextset()

    def close(self) -> None:
        self._cursor.close()

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchmany(self, *args: Any, **options: Any) -> Any:
        return self._cursor.fetchmany(*args, **options)

    def fetchall(self) -> Any:
        return self._cursor.fetchall()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)


class CursorWrapper(CheckedCursor, _Delegating, also=("callproc", "close", "nextset")):
    """Around a driver's cursor whose class takes no `CheckedCursor`; everything else is the cursor's own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<CursorWrapper of {self._cursor!r}>"


def guarded(cursor: CursorT, guard: Guard) -> CursorT:
    """*cursor* with *guard* in it, wrapped where its class cannot carry one."""
    if not isinstance(cursor, CheckedCursor):
        return cast("CursorT", CursorWrapper(cursor, guard))
    guard.cursor_class = type(cursor)
    cursor._guard = guard
    return cursor


def execute_unchecked(cursor: object, sql: str) -> None:
    """Execute *sql* on a cursor that has no guard (yet): for what a backend itself sends."""
    target: Any = super(CheckedCursor, cursor) if isinstance(cursor, CheckedCursor) else cursor
    target.execute(sql)
