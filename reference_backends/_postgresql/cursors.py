"""psycopg's cursors, checked; and those for a pooler that hands the session on after each transaction."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic

import psycopg
from psycopg import rows, sql
from psycopg.client_cursor import ClientCursorMixin
from typing_extensions import TypeVar

from backend_sdk import CheckedCursor, NotSupportedError

from .settings import SHARED_SESSION, PostgreSQLOptions

# `settings._SESSION_OPTIONS` as statements. SET LOCAL and SET TRANSACTION end with the transaction, as does a lock of
# the xact kind.
_SESSION_STATEMENT = re.compile(
    r"""(?:^|;) (?:\s|--[^\n]*\n|/\*.*?\*/)* (?:
        SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b) | RESET\b | LISTEN\b | UNLISTEN\b | DISCARD\b | LOAD\b
        | PREPARE\s+(?!TRANSACTION\b) | DEALLOCATE\b | DECLARE\b.*\bWITH\s+HOLD\b
        | CREATE\s+(?:(?:LOCAL|GLOBAL)\s+)?TEMP(?:ORARY)?\b(?!.*\bON\s+COMMIT\s+DROP\b)
    ) | \bpg_(?:try_)?advisory_(?:lock|unlock) | \bset_config\s*\([^()]*,\s*(?:false|'f(?:alse)?')\s*\)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

RowT = TypeVar("RowT", default=rows.TupleRow)


class PostgreSQLCursor(CheckedCursor, psycopg.Cursor[RowT], Generic[RowT], also=("scroll",)):
    """psycopg's cursor, checked; ``copy`` and ``stream`` too. Not slotted: psycopg's server cursor has slots itself.

    ``cursor.connection`` and ``wrapper.connection`` are psycopg's own, for ``notifies()`` and ``pipeline()``.
    """

    # Type checkers see the driver's own signatures: the methods add checks, not meaning.
    if not TYPE_CHECKING:

        @contextmanager
        def copy(self, *args, **options):
            guard = self._guard
            guard.check_statement("copy")
            try:
                with super().copy(*args, **options) as copy:
                    yield copy
            except guard.errors.caught as error:
                raise guard.failure(error, "copy") from error

        def stream(self, *args, **options):
            guard = self._guard
            guard.check_statement("stream")
            try:
                yield from super().stream(*args, **options)
            except guard.errors.caught as error:
                raise guard.failure(error, "stream") from error


class PostgreSQLServerCursor(PostgreSQLCursor[RowT], psycopg.ServerCursor[RowT], Generic[RowT]):
    """A named cursor: the rows stay at the server until fetched, ``itersize`` at a time while iterating."""

    if not TYPE_CHECKING:

        def close(self):
            try:
                super().close()
            except self._guard.errors.caught as error:  # it talks to the server
                raise self._guard.failure(error, "close") from error


class _ClientBinding(PostgreSQLCursor[RowT], ClientCursorMixin["psycopg.Connection[Any]", RowT], Generic[RowT]):
    """Parameters are put into the text by psycopg."""


class _ClientBindingServer(
    PostgreSQLServerCursor[RowT], ClientCursorMixin["psycopg.Connection[Any]", RowT], Generic[RowT]
):
    """The same, as a named cursor."""


class _TransactionOnly:
    """Refuses the statements whose effect outlasts the transaction, before they are sent. Goes before a cursor class.

    It reads the statement's words, so what a function or a ``DO`` block does inside is not seen.
    """

    if not TYPE_CHECKING:

        def execute(self, operation=None, params=None, /, **options):
            _refuse_session_statement(self, operation)
            return super().execute(operation, params, **options)

        def executemany(self, operation=None, params=None, /, **options):
            _refuse_session_statement(self, operation)
            return super().executemany(operation, params, **options)

        def stream(self, operation, *args, **options):
            _refuse_session_statement(self, operation)
            return super().stream(operation, *args, **options)


def _refuse_session_statement(cursor: Any, operation: object) -> None:
    if isinstance(operation, sql.Composable):
        operation = operation.as_string(cursor)
    text = operation.decode() if isinstance(operation, bytes) else str(operation)
    found = _SESSION_STATEMENT.search(text)
    if found is not None:
        raise NotSupportedError(
            f"{' '.join(found.group().lstrip(';').split())}: refused, since {SHARED_SESSION}; "
            "inside atomic() use SET LOCAL, pg_advisory_xact_lock, ON COMMIT DROP"
        )


class _PooledCursor(_TransactionOnly, PostgreSQLCursor[RowT], Generic[RowT]):
    """In transaction mode."""


class _PooledClientBinding(_TransactionOnly, _ClientBinding[RowT], Generic[RowT]):
    """In transaction mode."""


def server_cursor_class(options: PostgreSQLOptions) -> type[PostgreSQLServerCursor[Any]]:
    return PostgreSQLServerCursor if options.server_side_binding else _ClientBindingServer


def cursor_class(options: PostgreSQLOptions) -> type[PostgreSQLCursor[Any]]:
    if options.pooler == "transaction":
        return _PooledCursor if options.server_side_binding else _PooledClientBinding
    return PostgreSQLCursor if options.server_side_binding else _ClientBinding
