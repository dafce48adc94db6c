"""The pools as contenders, each used as its own users would: over a driver that does nothing, and over PostgreSQL."""

import atexit
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import repeat
from typing import Any, TypedDict

from backend_sdk import (
    BaseBackend,
    ConnectionSettings,
    DatabaseWrapper,
    SupportsIsBroken,
    SupportsTransactionStatus,
    TransactionStatus,
)
from benchmarks.measure import Loop
from benchmarks.pool_load import Lease, select_one
from benchmarks.rows import NotInstalledError
from conformance.servers.postgresql import postgresql_url
from conformance.servers.process import Unavailable
from reference_backends.pooled import Pool, PooledBackend, PoolOptions, Pools

SIZE = 4


def needed(module: str) -> Any:
    """That module, or the row's word for its absence."""
    if importlib.util.find_spec(module) is None:
        raise NotInstalledError(module)
    return importlib.import_module(module)


# Over a driver that does nothing: what is left is the pool


class NoParams(TypedDict):
    """The driver that does nothing needs none."""


class NullStatus:
    """What psycopg_pool looks at when a connection comes back."""

    transaction_status = 0


class NullConnection:
    """Does nothing, quickly; has what the pools look at."""

    autocommit = True
    closed = False
    pgconn = NullStatus()

    def close(self) -> None: ...

    def rollback(self) -> None: ...

    description = None

    def execute(self, operation: object, /) -> object: ...

    def fetchone(self) -> object: ...


class NullBackend(BaseBackend[ConnectionSettings, NoParams, NullConnection, NullConnection], vendor="null"):
    """The least of a backend."""

    def get_connection_params(self) -> NoParams:
        return {}

    def get_new_connection(self, params: NoParams, /) -> NullConnection:
        return NullConnection()

    def init_connection_state(self, connection: NullConnection, /) -> None: ...

    def _cursor(self, connection: NullConnection, /) -> Any:
        return connection


class LookedAtBackend(
    SupportsIsBroken[NullConnection], SupportsTransactionStatus[NullConnection], NullBackend, vendor="null"
):
    """One that is asked at each acquisition and each return."""

    def is_broken(self, connection: NullConnection, /) -> bool:
        return connection.closed

    def transaction_status(self, connection: NullConnection, /) -> TransactionStatus:
        return TransactionStatus.IDLE


def taking(acquire: Callable[[], Any], release: Callable[[Any], object]) -> Loop:
    """The loop over a pair."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            release(acquire())

    return loop


@contextmanager
def null_ours(kind: type[NullBackend]) -> Iterator[Loop]:
    pool: Pool[NullConnection] = PooledBackend(
        kind(ConnectionSettings(name="null")), PoolOptions(max_size=SIZE, reset="trusted"), pools=Pools()
    ).pool
    yield taking(pool.acquire, pool.release)
    pool.close()


@contextmanager
def null_psycopg_pool() -> Iterator[Loop]:
    connector = type("Connector", (), {"connect": staticmethod(lambda *_args, **_options: NullConnection())})
    with needed("psycopg_pool").ConnectionPool(
        connection_class=connector, min_size=SIZE, max_size=SIZE, open=True
    ) as pool:
        pool.wait()
        yield taking(pool.getconn, pool.putconn)


@contextmanager
def null_sqlalchemy() -> Iterator[Loop]:
    pool = needed("sqlalchemy.pool").QueuePool(NullConnection, pool_size=SIZE, max_overflow=0)
    yield taking(pool.connect, lambda connection: connection.close())
    pool.dispose()


NULL: dict[str, Callable[[], Any]] = {
    "ours": lambda: null_ours(NullBackend),
    "ours, asked": lambda: null_ours(LookedAtBackend),
    "psycopg_pool": null_psycopg_pool,
    "sqlalchemy": null_sqlalchemy,
}


# Over PostgreSQL

_servers = ExitStack()
atexit.register(_servers.close)


@cache
def server() -> str:
    """One server for all the rows of a run."""
    needed("psycopg")
    try:
        return _servers.enter_context(postgresql_url())
    except Unavailable as absence:
        raise NotInstalledError(str(absence)) from absence


def backend(reset: str, pools: Pools | None) -> Any:
    """Ours over the server, or the bare backend."""
    from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLSettings

    bare = PostgreSQLBackend(PostgreSQLSettings.from_url(server()))
    if pools is None:
        return bare
    return PooledBackend(bare, PoolOptions.model_validate({"max_size": SIZE, "reset": reset}), pools=pools)


def by_pool(acquire: Callable[[], Any], release: Callable[[Any], object]) -> Lease:
    """A lease by a pair of calls."""

    def lease() -> object:
        connection = acquire()
        try:
            return select_one(connection)
        finally:
            release(connection)

    return lease


@contextmanager
def held() -> Iterator[Lease]:
    with needed("psycopg").connect(server(), autocommit=True) as connection:
        yield by_pool(lambda: connection, lambda _: None)


@contextmanager
def ours(reset: str) -> Iterator[Lease]:
    pools = Pools()
    pool = backend(reset, pools).pool
    yield by_pool(pool.acquire, pool.release)
    pools.close()


@contextmanager
def held_wrapper() -> Iterator[Lease]:
    wrapper = DatabaseWrapper(backend("", None))
    yield lambda: select_one(wrapper)
    wrapper.close()


@contextmanager
def ours_wrapper() -> Iterator[Lease]:
    pools = Pools()
    wrapper = DatabaseWrapper(backend("trusted", pools))

    def lease() -> object:
        try:
            return select_one(wrapper)
        finally:
            wrapper.close()

    yield lease
    pools.close()


@contextmanager
def psycopg_pool() -> Iterator[Lease]:
    module = needed("psycopg_pool")
    with module.ConnectionPool(
        server(), kwargs={"autocommit": True}, min_size=SIZE, max_size=SIZE, timeout=120, open=True
    ) as pool:
        pool.wait()
        yield by_pool(pool.getconn, pool.putconn)


@contextmanager
def sqlalchemy() -> Iterator[Lease]:
    driver = needed("psycopg")
    pool = needed("sqlalchemy.pool").QueuePool(
        lambda: driver.connect(server(), autocommit=True), pool_size=SIZE, max_overflow=0, timeout=120
    )
    yield by_pool(pool.connect, lambda connection: connection.close())
    pool.dispose()


SERVED: dict[str, Callable[[], Any]] = {
    "held": held,
    "ours, trusted": lambda: ours("trusted"),
    "ours, full reset": lambda: ours("full"),
    "held wrapper": held_wrapper,
    "ours, wrapper": ours_wrapper,
    "psycopg_pool": psycopg_pool,
    "sqlalchemy": sqlalchemy,
}
