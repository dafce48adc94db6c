"""The backend that every pool here shows to its wrappers, whichever pool is behind it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Protocol, TypedDict, cast

from typing_extensions import TypeVar, override

from backend_sdk import (
    Backend,
    BaseBackend,
    DBAPICursor,
    DelegatingBackend,
    ImproperlyConfigured,
    SupportsClose,
    SupportsConfigure,
    SupportsLeases,
    SupportsReset,
    normalize,
)

from .options import PooledSettings, PoolOptions, pooled_settings, wrapped_backend

__all__ = ["AnyPool", "AroundPool", "PoolParams"]

ConnT = TypeVar("ConnT", default=Any)
CursorT = TypeVar("CursorT", bound=DBAPICursor, default=Any)


class PoolParams(TypedDict):
    """What an acquisition needs. The wrapped backend's own params are asked for by the pool, at each open."""

    timeout: float


class AnyPool(Protocol[ConnT]):
    """What a pool has to offer to stand behind a backend."""

    def acquire(self, timeout: float | None = None) -> ConnT: ...

    def release(self, connection: ConnT) -> None: ...

    def drop(self, connection: ConnT) -> None: ...

    def is_fresh(self, connection: ConnT) -> bool: ...

    def spoil(self, connection: ConnT) -> None: ...

    def drain(self) -> None: ...

    def close(self) -> None: ...


class AroundPool(
    SupportsConfigure[ConnT],
    SupportsClose[ConnT],
    SupportsLeases[ConnT],
    DelegatingBackend[PooledSettings, PoolParams, ConnT, CursorT],
    vendor="pooled",
):
    """``get_new_connection`` acquires, ``close_connection`` releases, all else is the wrapped backend's."""

    engine = "pooled"
    test_support: ClassVar[str] = "conformance.supports.pooled:PooledSupport"

    def __init_subclass__(cls, *, vendor: str = "pooled", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)
        cls.settings_class = PooledSettings  # the base class would take it for the first type argument

    def __init__(self, source: Backend[Any, ConnT, CursorT] | PooledSettings, options: PoolOptions | None) -> None:
        if isinstance(source, PooledSettings):
            if options is not None:
                raise ImproperlyConfigured('settings have pool options of their own: OPTIONS {"pool": {...}}')
            settings, wrapped = source, cast("Backend[Any, ConnT, CursorT]", wrapped_backend(source))
        else:
            wrapped = source
            if isinstance(wrapped, AroundPool):
                raise ImproperlyConfigured(f"{wrapped!r} is a pool already; wrap the backend that it wraps")
            settings = pooled_settings(wrapped, options or PoolOptions(), self.engine)
        # The scope's own cache would keep the lease from everybody else, and the pool does the checks itself.
        super().__init__(cast("Any", wrapped), settings.derive(conn_max_age=0, conn_health_checks=False))
        self._options = settings.options.pool
        self._view: BaseBackend[Any, Any, ConnT, CursorT] = normalize(wrapped)
        self._refuse_unpoolable()

    def _refuse_unpoolable(self) -> None:
        view = self._view
        if view.settings.is_private:
            raise ImproperlyConfigured(
                f"{view!r} opens a private database, which is another one for each connection, so it cannot be pooled; "
                "name a file, or share it by name (SQLite: OPTIONS memory_name)"
            )
        if SupportsReset not in view.abilities and self._options.reset != "trusted":
            raise ImproperlyConfigured(
                f"{view!r} does not declare SupportsReset, so one user's session cannot be made clean for the next; "
                'implement reset(), or leave it to the application with reset="trusted"'
            )

    @property
    @abstractmethod
    def pool(self) -> AnyPool[ConnT]:
        """The pool of this backend's sessions, which equal backends share."""
        raise NotImplementedError

    @override
    def get_connection_params(self) -> PoolParams:
        return {"timeout": self._options.timeout}

    @override
    def get_new_connection(self, params: PoolParams, /) -> ConnT:
        return self.pool.acquire(params["timeout"])

    @override
    def configure_connection(self, connection: ConnT, /) -> None:
        """Nothing: the pool did, right after open."""

    @override
    def init_connection_state(self, connection: ConnT, /) -> None:
        if not self.pool.is_fresh(connection):
            self._view.init_connection_state(connection)

    @override
    def reset(self, connection: ConnT, /) -> None:
        self.pool.spoil(connection)
        self._view.reset(connection)

    @override
    def close_connection(self, connection: ConnT, /) -> None:
        self.pool.release(connection)

    @override
    def drop_connection(self, connection: ConnT, /) -> None:
        self.pool.drop(connection)
