"""sqlalchemy.pool behind the pool's contract: ``SQLAlchemyPooledBackend(MySQLBackend(settings))``. No engine is needed.

Its own: the wait is that of the options for everybody; who waits is not served in order; what is idle stays open. A
look at each connection and a ping of what was idle for long are added. `docs/pools.md` compares.
"""

from __future__ import annotations

import time
from typing import Any

from typing_extensions import TypeVar, override

from backend_sdk import Backend, DBAPICursor, ImproperlyConfigured

from ._pool.adapted import AdaptedPool, Lease, refuse_cap
from ._pool.backend import AroundPool
from ._pool.options import PooledSettings, PoolOptions
from ._pool.registry import Pools, default_pools

try:
    from sqlalchemy import exc
    from sqlalchemy.pool import QueuePool
except ImportError as error:
    raise ImproperlyConfigured(f"this pool needs SQLAlchemy ({error}): pip install 'backend-sdk[pool]'") from error

__all__ = ["SQLAlchemyPool", "SQLAlchemyPooledBackend"]

ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)


class SQLAlchemyPool(AdaptedPool[ConnT]):
    """A ``QueuePool`` that opens by the backend."""

    @override
    def acquire(self, timeout: float | None = None) -> ConnT:
        if timeout is not None and timeout != self.options.timeout:
            raise ImproperlyConfigured(
                f"QueuePool has one timeout for everybody, {self.options.timeout:g} s here; "
                f'a wait of {timeout:g} s is for the engine "pooled"'
            )
        return super().acquire()

    @override
    def _make(self) -> QueuePool:
        creator: Any = self._open
        return QueuePool(
            creator,
            pool_size=self.options.max_size,
            max_overflow=0,
            timeout=self.options.timeout,
            recycle=-1 if self.options.max_lifetime is None else max(1, round(self.options.max_lifetime)),
            reset_on_return=None,
            use_lifo=True,
        )

    @override
    def _take(self, inner: Any, timeout: float) -> tuple[ConnT, Any]:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fairy = inner.connect()
            except exc.TimeoutError as error:
                raise TimeoutError(f"sqlalchemy.pool: {error}") from error
            connection = fairy.dbapi_connection
            if self._still_good(connection):
                return connection, fairy
            fairy.invalidate()
            if time.monotonic() >= deadline:
                raise TimeoutError("sqlalchemy.pool: only broken connections within the timeout")

    @override
    def _give(self, lease: Lease[ConnT], *, usable: bool) -> None:
        if not usable:
            lease.token.invalidate()
        lease.token.close()

    @override
    def _end(self, inner: Any) -> None:
        inner.dispose()

    @override
    def _size(self, inner: Any) -> int:
        return int(inner.checkedin() + inner.checkedout())


class SQLAlchemyPooledBackend(AroundPool[ConnT, CursorT]):
    """As `PooledBackend`, with sqlalchemy.pool doing the work."""

    engine = "pooled_sqlalchemy"

    def __init__(
        self,
        source: Backend[Any, ConnT, CursorT] | PooledSettings,
        options: PoolOptions | None = None,
        *,
        pools: Pools | None = None,
    ) -> None:
        super().__init__(source, options)
        if "max_idle" in self._options.model_fields_set and self._options.max_idle is not None:
            raise ImproperlyConfigured("QueuePool closes nothing for being idle: max_idle is to be None, or left out")
        pools = pools or default_pools()
        refuse_cap(pools, "sqlalchemy.pool")
        self._pool: SQLAlchemyPool[ConnT] = pools.pool_for(self._view, self._options, SQLAlchemyPool[ConnT])

    @property
    @override
    def pool(self) -> SQLAlchemyPool[ConnT]:
        return self._pool
