"""psycopg_pool behind the pool's contract: ``PsycopgPooledBackend(PostgreSQLBackend(settings))``.

Its own: a look at each connection (``is_broken``) on the way out. It opens in threads of its own, and retries there, so
that an unreachable server is seen as a timeout; it takes the connection used longest ago first; it pings none.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypeVar, override

from backend_sdk import Backend, DBAPICursor, ImproperlyConfigured, OperationalError, SupportsIsBroken

from ._pool.adapted import AdaptedPool, Lease
from ._pool.backend import AroundPool
from ._pool.contract import PoolTimeout
from ._pool.options import PooledSettings, PoolOptions
from ._pool.registry import Pools, default_pools

try:
    import psycopg_pool
except ImportError as error:
    raise ImproperlyConfigured(f"this pool needs psycopg_pool ({error}): pip install 'backend-sdk[pool]'") from error

__all__ = ["PsycopgPool", "PsycopgPooledBackend"]

ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)

_NEVER = 10.0 * 365 * 86400  # seconds; it takes no None


class PsycopgPool(AdaptedPool[ConnT]):
    """A ``ConnectionPool`` that opens by the backend."""

    @override
    def _make(self) -> psycopg_pool.ConnectionPool[Any]:
        options = self.options
        connector: Any = type("Connector", (), {"connect": staticmethod(lambda *_args, **_options: self._open())})
        check = self._refuse_broken if SupportsIsBroken in self._backend.abilities else None
        return psycopg_pool.ConnectionPool(
            connection_class=connector,
            check=check,
            min_size=options.min_size,
            max_size=options.max_size,
            timeout=options.timeout,
            max_idle=options.max_idle or _NEVER,
            max_lifetime=options.max_lifetime or _NEVER,
            open=True,
        )

    def _refuse_broken(self, connection: Any) -> None:
        if self._backend.is_broken(connection):
            self._backend.close_connection(connection)  # it replaces only what psycopg itself knows to be closed
            raise OperationalError("broken while idle")

    @override
    def _take(self, inner: Any, timeout: float) -> tuple[ConnT, None]:
        try:
            return inner.getconn(timeout), None
        except psycopg_pool.PoolTimeout as error:
            raise PoolTimeout(f"psycopg_pool: {error}") from error

    @override
    def _give(self, lease: Lease[ConnT], *, usable: bool) -> None:
        if not usable:
            self._backend.close_connection(lease.connection)
        lease.inner.putconn(lease.connection)

    @override
    def _end(self, inner: Any) -> None:
        inner.close()

    @property
    @override
    def size(self) -> int:
        return 0 if self._inner is None else int(self._inner.get_stats()["pool_size"])


class PsycopgPooledBackend(AroundPool[ConnT, CursorT]):
    """As `PooledBackend`, with psycopg_pool doing the work."""

    engine = "pooled_psycopg"

    def __init__(
        self,
        source: Backend[Any, ConnT, CursorT] | PooledSettings,
        options: PoolOptions | None = None,
        *,
        pools: Pools | None = None,
    ) -> None:
        super().__init__(source, options)
        if self.vendor != "postgresql":
            raise ImproperlyConfigured(f"psycopg_pool takes psycopg's connections alone, not those of {self._view!r}")
        self._pool: PsycopgPool[ConnT] = (pools or default_pools()).pool_for(
            self._view, self._options, PsycopgPool[ConnT]
        )

    @property
    @override
    def pool(self) -> PsycopgPool[ConnT]:
        return self._pool
