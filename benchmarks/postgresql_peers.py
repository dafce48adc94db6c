"""Statements on PostgreSQL as contenders: one open session each, and the loop over it that its own users would write.

Everybody is on psycopg 3, in autocommit, with the session's settings left to the server, and holds its connection:
what is timed is the way of a statement, not that to a connection. The table is temporary, so nothing stays behind on
a server that is not ours.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import repeat
from typing import Any

from backend_sdk import DatabaseWrapper
from benchmarks import workload
from benchmarks.loops import with_own_code
from benchmarks.measure import Loop
from benchmarks.pool_peers import needed, server
from benchmarks.rows import NotInstalledError

KEY = 500


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, its parameters, and the row that is to come back."""

    statement: str
    params: tuple[object, ...] | None
    expected: tuple[object, ...]


SELECT_1 = Query(workload.SELECT_ONE, None, (1,))
ROW_BY_KEY = Query(
    "SELECT id, title, price, active, added FROM item WHERE id = %s",
    (KEY,),
    (KEY, f"A title of the usual length, number {KEY}", Decimal(KEY) / 4, True, datetime(2024, 1, 31, 10, 30)),
)

STAGE = (
    """
    CREATE TEMPORARY TABLE item (
        id integer PRIMARY KEY, title text, price numeric(10, 2), active boolean, added timestamp
    )
    """,
    f"""
    INSERT INTO item
    SELECT n, 'A title of the usual length, number ' || n, n / 4.0, true, '2024-01-31 10:30:00'
    FROM generate_series(1, {workload.ROWS}) AS n
    """,
)


def parameters() -> dict[str, Any]:
    """How to reach the server, by libpq's names."""
    conninfo: Any = importlib.import_module("psycopg.conninfo")
    found: dict[str, Any] = conninfo.conninfo_to_dict(server())
    return found


# Sessions: what is opened, and the form of its loop


@contextmanager
def raw() -> Iterator[Any]:
    """psycopg by itself."""
    driver = needed("psycopg")
    with closing(driver.connect(**parameters(), autocommit=True)) as connection:
        yield connection


@contextmanager
def ours() -> Iterator[Any]:
    """A wrapper over the reference backend, as its settings come."""
    needed("psycopg")
    from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLSettings

    with closing(DatabaseWrapper(PostgreSQLBackend(PostgreSQLSettings.from_url(server())))) as wrapper:
        yield wrapper


@contextmanager
def django() -> Iterator[Any]:
    """A wrapper of Django's own backend, as a project's ``connections`` makes it."""
    needed("django")
    from benchmarks.peers import django_peer

    params = parameters()
    places = {name.upper(): params.pop(name) for name in ("host", "port", "user", "password") if name in params}
    settings = {"ENGINE": "django.db.backends.postgresql", "NAME": params.pop("dbname"), **places, "OPTIONS": params}
    with closing(django_peer.utils.ConnectionHandler({"default": settings})["default"]) as wrapper:
        yield wrapper


@contextmanager
def sqlalchemy() -> Iterator[Any]:
    """One connection of an engine."""
    engine = needed("sqlalchemy").create_engine(
        "postgresql+psycopg://", connect_args=parameters(), isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def peewee() -> Iterator[Any]:
    """A database of peewee's, on psycopg 3."""
    module = needed("peewee")
    if not hasattr(module, "Psycopg3Adapter"):
        raise NotInstalledError(f"peewee {module.__version__} does not know psycopg 3")
    params = parameters()
    with closing(module.PostgresqlDatabase(params.pop("dbname"), prefer_psycopg3=True, **params)) as database:
        database.connect()
        yield database


def closed_in_finally(source: Any, query: Query) -> Loop:
    """A cursor that is closed without calls of its context manager: the floor."""
    statement, params = query.statement, query.params

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            cursor = source.cursor()
            try:
                cursor.execute(statement, params)
                row = cursor.fetchone()
            finally:
                cursor.close()
        return row

    return loop


def closed_by_with(source: Any, query: Query) -> Loop:
    """A cursor in a ``with`` block."""
    statement, params = query.statement, query.params

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            with source.cursor() as cursor:
                cursor.execute(statement, params)
                row = cursor.fetchone()
        return row

    return loop


def by_driver_sql(source: Any, query: Query) -> Loop:
    """SQLAlchemy's fastest way for a string."""
    statement, params = query.statement, query.params

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            with source.exec_driver_sql(statement, params) as result:
                row = result.fetchone()
        return row

    return loop


def by_execute_sql(source: Any, query: Query) -> Loop:
    """peewee below its query builder."""
    statement, params = query.statement, query.params

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            cursor = source.execute_sql(statement, params)
            try:
                row = cursor.fetchone()
            finally:
                cursor.close()
        return row

    return loop


Session = Callable[[], AbstractContextManager[Any]]
Form = Callable[[Any, Query], Loop]

CONTENDERS: Mapping[str, tuple[Session, Form]] = {
    "raw": (raw, closed_by_with),  # as psycopg's manual has it; sqlite3's cursor is no context manager, this one is
    "raw again": (raw, closed_by_with),
    "raw, no with": (raw, closed_in_finally),
    "ours": (ours, closed_by_with),
    "django": (django, closed_by_with),
    "sqlalchemy": (sqlalchemy, by_driver_sql),
    "peewee": (peewee, by_execute_sql),
}


@contextmanager
def staged(name: str, query: Query) -> Iterator[Loop]:
    """A contender's session opened, the table of items made, and its loop."""
    session, form = CONTENDERS[name]
    with session() as source:
        # SQLAlchemy's connection hands out cursors by the driver's connection in it
        cursor = (source if hasattr(source, "cursor") else source.connection).cursor()
        for statement in STAGE:
            cursor.execute(statement)
        cursor.close()
        yield with_own_code(form(source, query))
