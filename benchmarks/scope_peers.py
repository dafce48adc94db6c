"""One request, as each contender serves it: a scope beside Django's two signals, with the same select in it.

The select is the benchmarks' own: a cursor in a ``with`` block, SELECT 1, fetchone. What differs is what becomes of the
connection in between, so that is what each contender is named after.
"""

import importlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat
from typing import Any

from backend_sdk import Connections, Databases
from backend_sdk.scope import Scopes
from benchmarks import workload
from benchmarks.loops import select_finally
from benchmarks.measure import Loop
from benchmarks.peers import Opener
from benchmarks.pool_peers import SIZE, backend, needed
from benchmarks.postgresql_peers import parameters, raw
from reference_backends.pooled import PooledBackend, PoolOptions, Pools
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings


@contextmanager
def held_sqlite() -> Iterator[Loop]:
    """The driver on a connection that stays open: nothing begins and nothing ends."""
    with workload.database_file() as path, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield select_finally(connection)


@contextmanager
def held_postgresql() -> Iterator[Loop]:
    """The same on PostgreSQL."""
    with raw() as connection:
        yield select_finally(connection)


def scoped(source: Any) -> Loop:
    """A scope over *source* for each select."""
    handler = Connections()
    scope, databases = Scopes(handler), Databases({"default": source})

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            with scope(databases), handler["default"].cursor() as cursor:
                cursor.execute(workload.SELECT_ONE)
                row = cursor.fetchone()
        return row

    return loop


@contextmanager
def leased_sqlite() -> Iterator[Loop]:
    """Ours over a pool that trusts the application to leave its sessions clean, as the peers do."""
    with workload.database_file() as path, closing(Pools()) as pools:
        options = PoolOptions(max_size=SIZE, reset="trusted")
        yield scoped(PooledBackend(SQLiteBackend(SQLiteSettings(name=path)), options, pools=pools))


@contextmanager
def kept_sqlite() -> Iterator[Loop]:
    """Ours with the session kept by the thread, and reset in between."""
    with workload.database_file() as path:
        yield scoped(SQLiteBackend(SQLiteSettings(name=path, conn_max_age=None)))


@contextmanager
def leased_postgresql(reset: str) -> Iterator[Loop]:
    """Ours over a pool."""
    with closing(Pools()) as pools:
        yield scoped(backend(reset, pools))


@contextmanager
def signalled(settings: Mapping[str, object]) -> Iterator[Loop]:
    """Django's two signals around each select; its ``connections`` are the process's own."""
    django = needed("django")
    configuration: Any = importlib.import_module("django.conf").settings
    if not configuration.configured:
        configuration.configure(DATABASES={"default": settings})
        django.setup()
    signals: Any = importlib.import_module("django.core.signals")
    started, finished = signals.request_started, signals.request_finished
    connections: Any = importlib.import_module("django.db").connections

    def loop(count: int) -> object:
        row = None
        for _ in repeat(None, count):
            started.send(None, environ={})
            with connections["default"].cursor() as cursor:
                cursor.execute(workload.SELECT_ONE)
                row = cursor.fetchone()
            finished.send(None)
        return row

    yield loop
    connections.close_all()


@contextmanager
def signalled_sqlite(max_age: int | None) -> Iterator[Loop]:
    """On a file, since Django never closes a database in memory."""
    with (
        workload.database_file() as path,
        signalled({"ENGINE": "django.db.backends.sqlite3", "NAME": path, "CONN_MAX_AGE": max_age}) as loop,
    ):
        yield loop


@contextmanager
def signalled_postgresql(max_age: int | None, **options: object) -> Iterator[Loop]:
    """On PostgreSQL, with Django's own pool where *options* ask for it."""
    params = parameters()
    places = {name.upper(): params.pop(name) for name in ("host", "port", "user", "password") if name in params}
    settings = {
        "ENGINE": "django.db.backends.postgresql", "NAME": params.pop("dbname"), **places, "CONN_MAX_AGE": max_age,
        "OPTIONS": {**params, **options},
    }  # fmt: skip
    with signalled(settings) as loop:
        yield loop


SQLITE: Mapping[str, Opener] = {
    "held": held_sqlite,
    "ours, pool trusted": leased_sqlite,
    "ours, kept and reset": kept_sqlite,
    "django, kept": lambda: signalled_sqlite(None),
    "django, default": lambda: signalled_sqlite(0),
}
POSTGRESQL: Mapping[str, Opener] = {
    "held": held_postgresql,
    "ours, pool trusted": lambda: leased_postgresql("trusted"),
    "ours, pool reset": lambda: leased_postgresql("full"),
    "django, kept": lambda: signalled_postgresql(None),
    "django, pool": lambda: signalled_postgresql(0, pool={"min_size": SIZE, "max_size": SIZE}),
    "django, default": lambda: signalled_postgresql(0),
}
