"""Transactions over any PEP 249 connection, by whichever of three means it has.

1. ``begin_statement``: the driver commits by itself until this is said (DuckDB; sqlite3 with ``isolation_level=None``).
2. A switch: ``connection.autocommit``, attribute or method, or another usual name (pg8000, psycopg, oracledb, PyMySQL).
3. Neither: the driver begins a transaction with the first statement, as PEP 249 has it. Autocommit is then a
   ``commit()`` after each statement.

Source: PEP 249, "Connection methods" and "Optional DB API Extensions", connection.autocommit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, cast

from typing_extensions import TypeVar, override

from .cursors import AroundCursor

__all__ = ["DBAPIConnection", "StatementCursor"]

ConnT = TypeVar("ConnT", default=Any)

_SWITCHES = ("autocommit", "set_autocommit", "setautocommit")


class DBAPIConnection(Generic[ConnT]):
    """The driver's connection, as ``driver``, and what no driver tells: the mode to go back to after a transaction.

    Whatever is not defined here is the driver's own. For one thread at a time.
    """

    def __init__(self, driver: ConnT, begin_statement: str | None = None) -> None:
        self.driver = driver
        self.begin_statement = begin_statement
        self.autocommit: bool | None = None
        """The session's mode, in or outside of a transaction; None: not set yet."""
        self.begun = False
        self._switch = _switch_of(driver) if begin_statement is None else None

    def set_autocommit(self, autocommit: bool) -> None:
        """Switch the mode; to be called outside of transactions. What the driver has begun by itself is kept."""
        if autocommit and (self.begun or (self.autocommit is False and self.begin_statement is None)):
            self.commit()
        self.autocommit = autocommit
        self._set_driver()

    def begin(self) -> None:
        """From now on nothing is committed but by `commit`. A begin statement is the caller's to send."""
        self.begun = True
        self._set_driver()

    def commit(self) -> None:
        cast("Any", self.driver).commit()
        self.begun = False  # not where the database refused: the transaction is open still
        self._set_driver()

    def rollback(self) -> None:
        self.begun = False  # also where a driver raises since none is open
        cast("Any", self.driver).rollback()
        self._set_driver()

    def close(self) -> None:
        cast("Any", self.driver).close()

    def cursor(self, *args: Any, **options: Any) -> Any:
        return self.around(cast("Any", self.driver).cursor(*args, **options))

    def around(self, cursor: Any) -> Any:
        """The driver's *cursor*, or a `StatementCursor` around it where the driver leaves something to do."""
        return cursor if self._switch is not None else StatementCursor(cursor, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    # Around each statement of a driver without a switch

    def before(self, cursor: Any) -> None:
        if self.begin_statement is not None and not self.autocommit and not self.begun:
            cursor.execute(self.begin_statement)
            self.begun = True

    def after(self) -> None:
        if self._each_alone():
            cast("Any", self.driver).commit()

    def after_error(self) -> None:
        if self._each_alone():
            try:
                cast("Any", self.driver).rollback()
            except Exception:  # the error that matters is the statement's
                return

    def _each_alone(self) -> bool:
        return self.begin_statement is None and bool(self.autocommit) and not self.begun

    def _set_driver(self) -> None:
        if self._switch is not None:
            self._switch(bool(self.autocommit) and not self.begun)


def _switch_of(driver: Any) -> Callable[[bool], object] | None:
    for name in _SWITCHES:
        found = getattr(driver, name, None)
        if callable(found):
            return cast("Callable[[bool], object]", found)
        if found is not None:
            return partial(setattr, driver, name)
    return None


class StatementCursor(AroundCursor):
    """Begins before a statement, or commits after it, as its connection says."""

    def __init__(self, cursor: Any, connection: DBAPIConnection[Any]) -> None:
        super().__init__(cursor)
        self.__dict__["_connection"] = connection

    @override
    def _through(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        self._connection.before(self._cursor)
        try:
            result = call(*args, **options)
        except BaseException:
            self._connection.after_error()
            raise
        self._connection.after()
        return result
