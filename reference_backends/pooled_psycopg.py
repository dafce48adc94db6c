"""psycopg_pool behind the pool's contract: ``PsycopgPooledBackend(PostgreSQLBackend(settings))``.

Its own: it hands out the connection used longest ago, and replaces at once what it loses. What is asked for first is
opened in the caller's thread rather than in one of its own, so that a server's refusal is seen as what it is. A look
at each connection and a ping of what was idle for long are added. `docs/pools.md` compares.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from typing_extensions import TypeVar, override

from backend_sdk import Backend, DBAPICursor, ImproperlyConfigured, park

from ._pool.adapted import AdaptedPool, Lease, refuse_cap
from ._pool.backend import AroundPool
from ._pool.contract import PoolClosed
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
_LEAST = 0.001  # seconds; asked for none at all it gives nothing, though it have something
_HANDED_OVER = 1.0  # seconds within which its thread has passed on what was opened for it


class PsycopgPool(AdaptedPool[ConnT]):
    """A ``ConnectionPool`` that opens by the backend."""

    @override
    def _start_empty(self) -> None:
        super()._start_empty()
        self._ready: deque[ConnT] = deque()
        """Opened by who wants one, for the pool's thread to find."""
        self._opening = 0

    @override
    def _make(self) -> psycopg_pool.ConnectionPool[Any]:
        options = self.options
        connect = staticmethod(lambda *_args, **_options: self._connect())
        connector: Any = type("Connector", (), {"connect": connect})
        return psycopg_pool.ConnectionPool(
            connection_class=connector,
            min_size=0,  # else it opens them in threads of its own, where nobody hears why that fails: see `upkeep`
            max_size=options.max_size,
            timeout=options.timeout,
            max_idle=options.max_idle or _NEVER,
            max_lifetime=options.max_lifetime or _NEVER,
            reconnect_timeout=0.0,  # who acquires opens, and is told why that fails; retries would hide it
            open=True,
        )

    def _connect(self) -> ConnT:
        """In the pool's own thread: what somebody has opened, or is about to; else one more than he."""
        with self._making:
            while self._opening and not self._ready:
                self._making.wait()
            if self._ready:
                return self._ready.popleft()
        return self._open()  # to fill up to min_size, or to replace what was lost

    def _grow(self, inner: Any) -> bool:
        """Open one more in this thread, if none is idle and there is room for it."""
        with self._making:
            now = inner.get_stats()
            if now["pool_available"] or self._places(now) >= self.options.max_size:
                return False
            self._opening += 1
        self._open_ready()
        return True

    def _places(self, now: dict[str, int]) -> int:
        return now["pool_size"] + len(self._ready) + self._opening

    def _open_ready(self) -> None:
        """Open what `_opening` has announced."""
        opened: list[ConnT] = []
        try:
            opened.append(self._open())
        finally:
            with self._making:
                self._ready.extend(opened)
                self._opening -= 1
                self._making.notify_all()

    @override
    def _take(self, inner: Any, timeout: float) -> tuple[ConnT, None]:
        deadline = time.monotonic() + timeout
        try:
            while True:
                least = _HANDED_OVER if self._grow(inner) else _LEAST
                connection = inner.getconn(max(least, deadline - time.monotonic()))
                if self._still_good(connection):
                    return connection, None
                self._replace(inner, connection)
        except psycopg_pool.PoolTimeout as error:
            raise TimeoutError(f"psycopg_pool: {error}") from error
        except psycopg_pool.PoolClosed as error:
            raise PoolClosed(str(error)) from error

    def _replace(self, inner: Any, connection: Any) -> None:
        """Give back what is broken, and with it what it is to be replaced by."""
        self._backend.close_connection(connection)
        with self._making:
            self._opening += 1
        try:
            self._open_ready()
        finally:
            inner.putconn(connection)

    @override
    def _give(self, lease: Lease[ConnT], *, usable: bool) -> None:
        if not usable:
            self._backend.close_connection(lease.connection)
        lease.inner.putconn(lease.connection)

    @override
    def upkeep(self) -> None:
        super().upkeep()
        self._close_ready()

    def _close_ready(self) -> None:
        """What was opened for somebody who then got another, which had come back meanwhile."""
        while self._ready:
            try:
                connection = self._ready.popleft()
            except IndexError:
                return
            self._backend.close_connection(connection)

    @override
    def _end(self, inner: Any) -> None:
        inner.close()
        self._close_ready()

    @override
    def _size(self, inner: Any) -> int:
        return int(inner.get_stats()["pool_size"])

    @override
    def renew_after_fork(self) -> None:
        for connection in self._ready:
            park(connection)
        super().renew_after_fork()


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
        pools = pools or default_pools()
        refuse_cap(pools, "psycopg_pool")
        self._pool: PsycopgPool[ConnT] = pools.pool_for(self._view, self._options, PsycopgPool[ConnT])

    @property
    @override
    def pool(self) -> PsycopgPool[ConnT]:
        return self._pool
