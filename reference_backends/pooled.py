"""A pool around any backend: ``ENGINE "pooled"`` with ``OPTIONS {"wraps": "postgresql", ...}``, or in code.

    backend = PooledBackend(PostgreSQLBackend(settings), PoolOptions(max_size=4))
    with DatabaseWrapper(backend).cursor() as cursor: ...

The wrapped backend does not know. Equal backends share a pool, whatever their alias. Each lease belongs to its wrapper
and ends with it: when the wrapper is closed or dropped, or when its scope, thread or task ends.

Source: Django ticket 19274.
"""

from __future__ import annotations

from typing import Any, overload

from typing_extensions import TypeVar, override

from backend_sdk import Backend, DBAPICursor

from ._pool.backend import AroundPool, PoolParams
from ._pool.contract import PoolClosed, PoolStatistics, PoolTimeout
from ._pool.options import PooledOptions, PooledSettings, PoolOptions
from ._pool.pool import Pool
from ._pool.registry import Pools, default_pools

__all__ = [
    "Pool", "PoolClosed", "PoolOptions", "PoolParams", "PoolStatistics", "PoolTimeout", "PooledBackend",
    "PooledOptions", "PooledSettings", "Pools", "default_pools",
]  # fmt: skip

ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)


class PooledBackend(AroundPool[ConnT, CursorT]):
    """*source* is the backend to wrap, or settings that name it. *pools*: this process's, if left out."""

    @overload
    def __init__(
        self, source: Backend[Any, ConnT, CursorT], options: PoolOptions | None = None, *, pools: Pools | None = None
    ) -> None: ...

    @overload
    def __init__(
        self: PooledBackend[Any, Any], source: PooledSettings, options: None = None, *, pools: Pools | None = None
    ) -> None: ...

    def __init__(
        self,
        source: Backend[Any, ConnT, CursorT] | PooledSettings,
        options: PoolOptions | None = None,
        *,
        pools: Pools | None = None,
    ) -> None:
        super().__init__(source, options)
        self._pools = pools or default_pools()
        self._pool: Pool[ConnT] = self._pools.pool_for(self._view, self._options, Pool[ConnT])

    @property
    @override
    def pool(self) -> Pool[ConnT]:
        """The pool: ``backend.pool.statistics()``, ``.warm_up()``, ``.drain()``, ``.close()``."""
        return self._pool

    @override
    def get_new_connection(self, params: PoolParams, /) -> ConnT:
        return self._pool.acquire(params["timeout"])

    @override
    def close_connection(self, connection: ConnT, /) -> None:
        self._pool.release(connection)
