"""What a check does: statements by the engine, and what a session of the driver's own sees of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..verdict import Violation
from .aliases import Aliases

__all__ = ["Abandoned", "Statements"]


class Abandoned(Exception):
    """What a check raises to make an atomic block fail."""


class Statements(Aliases):
    """By a wrapper, by the driver in a wrapper's session, and by the witness."""

    def atomic(self, wrapper: Any, **options: Any) -> Any:
        return self.db.transaction.atomic(using=wrapper.alias, **options)

    @contextlib.contextmanager
    def failing_block(self, wrapper: Any) -> Iterator[None]:
        """An atomic block that raises at its end."""
        with contextlib.suppress(Abandoned), self.atomic(wrapper):
            yield
            raise Abandoned

    def execute(self, wrapper: Any, sql: str) -> None:
        with wrapper.cursor() as cursor:
            cursor.execute(sql)

    def scalar(self, wrapper: Any, sql: str) -> Any:
        with wrapper.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def insert(self, wrapper: Any, number: int) -> None:
        self.execute(wrapper, f"INSERT INTO {self.TABLE} (id, note) VALUES ({number}, 'row')")

    def in_session(self, wrapper: Any, sql: str) -> Any:
        """What the database says, asked by the driver's own cursor in the wrapper's session, where there is one."""
        held = wrapper.connection
        cursor = held.cursor() if hasattr(held, "cursor") else wrapper.cursor()
        try:
            cursor.execute(sql)
            return cursor.fetchone()[0]
        finally:
            cursor.close()

    def witnessed(self, sql: str, alias: str = "default") -> Any:
        """What a session of the driver's own is told."""
        witness = self.witness(alias)
        try:
            return witness.scalar(sql)
        finally:
            witness.close()

    def create_table(self, *aliases: str) -> str:
        """The kit's table in the databases of *aliases* (``default``), by the witness, committed."""
        for alias in aliases or ("default",):
            self._on(alias, f"CREATE TABLE {self.TABLE} ({self._columns()})")
            if not hasattr(self.target.support, "database"):
                self._stack.callback(self._on, alias, f"DROP TABLE {self.TABLE}")
        return self.TABLE

    def _columns(self) -> str:
        names: Mapping[str, str] = getattr(self.target.support, "type_names", dict)()
        return f"id {names.get('integer', 'INTEGER')} PRIMARY KEY, note {names.get('text', 'VARCHAR(100)')}"

    def _on(self, alias: str, sql: str) -> None:
        witness = self.witness(alias)
        try:
            witness.execute(sql)
        finally:
            witness.close()

    def seen(self, alias: str = "default") -> int:
        """How many rows a session of the driver's own sees."""
        return int(self.witnessed(f"SELECT count(*) FROM {self.TABLE}", alias))

    def own(self, wrapper: Any) -> int:
        """How many rows the wrapper's own session sees."""
        return int(self.scalar(wrapper, f"SELECT count(*) FROM {self.TABLE}"))

    def require_seen(self, rows: int, when: str, *, blame: str = "", alias: str = "default") -> None:
        seen = self.seen(alias)
        if seen != rows:
            raise Violation(f"{when} another session sees {seen} row(s) instead of {rows}", blame=blame)
