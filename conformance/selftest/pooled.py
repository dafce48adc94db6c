"""A right pool around the right backend, as small as can be. The catalogue's wrong pools are this one with a defect.

The kit cannot use the reference pools: it must not import them, and a mistake there must not hide a mistake here.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypedDict, cast

from typing_extensions import override

from backend_sdk import (
    ConnectionSettings,
    DelegatingBackend,
    Handle,
    InterfaceError,
    OperationalError,
    SupportsClose,
    SupportsConfigure,
    SupportsLeases,
    handle_of,
    park,
)

from ..supports.sqlite import SQLiteSupport
from .baseline import BaselineBackend, BaselineCursor, BaselineOptions, BaselineParams, BaselineSettings

__all__ = ["Lease", "PooledBaseline", "PooledSupport", "TinyPool"]

Connection = sqlite3.Connection


class PooledOptions(BaselineOptions, frozen=True):
    size: int = 20
    wait: float = 0.25
    lifetime: float = 60.0


class PooledBaselineSettings(BaselineSettings, frozen=True):
    options: PooledOptions = PooledOptions()


class PooledSupport(SQLiteSupport):
    def pool_limits(
        self, mapping: Mapping[str, Any], *, size: int = 0, timeout: float = 0.0, lifetime: float = 0.0
    ) -> Mapping[str, Any]:
        limits = {"size": size, "wait": timeout, "lifetime": lifetime}
        given = {name: value for name, value in limits.items() if value}
        return {**mapping, "OPTIONS": {**dict(mapping.get("OPTIONS") or {}), **given}}


class PoolParams(TypedDict):
    wait: float


class Lease(NamedTuple):
    connection: Connection
    thread: threading.Thread


class TinyPool:
    """A stack of idle connections under one condition. Who acquires ends what the dead and the finalizers have left."""

    def __init__(self, backend: BaselineBackend, options: PooledOptions) -> None:
        self.backend = backend
        self.options = options
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        self.turn = threading.Condition()
        self.idle: list[Connection] = []
        self.leased: dict[int, Lease] = {}
        self.dropped: deque[Connection] = deque()
        self.born: dict[int, float] = {}
        self.places = 0

    def acquire(self, wait: float) -> Connection:
        deadline = time.monotonic() + wait
        with self.turn:
            while True:
                self.tend()
                found = self.take()
                if found is not None:
                    return self.lease(found)
                if self.places < self.options.size:
                    self.places += 1
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self.out_of_time()
                self.turn.wait(min(left, 0.02))  # nobody notifies of a thread's end
        connection = self.fill()
        with self.turn:
            return self.lease(connection)

    def out_of_time(self) -> Exception:
        error = OperationalError(f"no connection came free within {self.options.wait} s")
        error.step = "acquire"
        return error

    def take(self) -> Connection | None:
        while self.idle:
            connection = self.pop()
            if self.good(connection):
                return connection
            self.discard(connection)
        return None

    def pop(self) -> Connection:
        return self.idle.pop()

    def good(self, connection: Connection) -> bool:
        return not self.too_old(connection) and not self.backend.is_broken(connection)

    def too_old(self, connection: Connection) -> bool:
        return time.monotonic() - self.born.get(id(connection), 0.0) > self.options.lifetime

    def lease(self, connection: Connection) -> Connection:
        self.leased[id(connection)] = Lease(connection, threading.current_thread())
        return connection

    def fill(self) -> Connection:
        """One more, for a place that is taken already."""
        try:
            connection = self.open()
        except BaseException:
            with self.turn:
                self.places -= 1
                self.turn.notify()
            raise
        self.born[id(connection)] = time.monotonic()
        return connection

    def params(self) -> BaselineParams:
        return self.backend.get_connection_params()

    def open(self) -> Connection:
        backend = self.backend
        connection = backend.get_new_connection(self.params())
        step = "configure_connection"
        try:
            backend.configure_connection(connection)
            step = "set_autocommit"
            backend.set_autocommit(connection, backend.settings.autocommit)
            step = "init_connection_state"
            backend.init_connection_state(connection)
        except BaseException as error:
            self.failed(connection)
            if isinstance(error, sqlite3.Error):
                ours = backend.errors_for(error).translate(error)
                ours.step = step
                raise ours from error
            raise
        return connection

    def failed(self, connection: Connection) -> None:
        self.backend.close_connection(connection)

    def release(self, connection: Connection) -> None:
        with self.turn:
            if self.leased.pop(id(connection), None) is None:
                raise InterfaceError("it is not leased")
        self.give_back(connection)

    def give_back(self, connection: Connection) -> None:
        try:
            if self.backend.is_broken(connection) or self.too_old(connection):
                raise InterfaceError("not worth keeping")
            self.clean(connection)
        except Exception:
            with self.turn:
                self.discard(connection)
            return
        with self.turn:
            self.idle.append(connection)
            self.turn.notify()

    def clean(self, connection: Connection) -> None:
        for held in gc.get_referrers(connection):  # a statement under way keeps its lock
            if isinstance(held, sqlite3.Cursor):
                sqlite3.Cursor.close(held)
        self.backend.renew(connection)

    def discard(self, connection: Connection) -> None:
        self.places -= 1
        self.turn.notify()
        self.backend.close_connection(connection)

    def drop(self, connection: Connection) -> None:
        self.dropped.append(connection)

    def tend(self) -> None:
        while self.dropped:
            self.release(self.dropped.popleft())
        for lease in list(self.leased.values()):
            handle = None if lease.thread.is_alive() else handle_of(lease.connection)
            if handle is not None and not handle.shared and not self.is_anothers(handle):
                handle.close()

    def is_anothers(self, handle: Handle[Any]) -> bool:
        """Whether the dead thread has only opened it for a wrapper whose owner is alive."""
        return handle.owner is not None and handle.owner.alive

    def inherited(self) -> list[Connection]:
        return [*self.idle, *self.dropped, *(lease.connection for lease in self.leased.values())]


_pools: dict[object, TinyPool] = {}
_making = threading.Lock()


def _after_fork() -> None:
    for pool in _pools.values():
        for connection in pool.inherited():
            park(connection)
        pool.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class PooledBaseline(
    SupportsConfigure[Connection],
    SupportsClose[Connection],
    SupportsLeases[Connection],
    DelegatingBackend[PooledBaselineSettings, PoolParams, Connection, BaselineCursor],
    vendor="pooled-baseline",
):
    test_support = "conformance.selftest.pooled:PooledSupport"
    pool_class: ClassVar[type[TinyPool]] = TinyPool

    def __init_subclass__(cls, *, vendor: str = "pooled-baseline", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)
        cls.settings_class = PooledBaselineSettings

    def __init__(self, settings: PooledBaselineSettings) -> None:
        values = {name: getattr(settings, name) for name in ConnectionSettings.model_fields}
        options = BaselineOptions(timeout=settings.options.timeout, cache_size=settings.options.cache_size)
        wrapped = BaselineBackend(BaselineSettings(**{**values, "options": options}))
        super().__init__(cast("Any", wrapped), self.own(settings))

    @cached_property
    def pool(self) -> TinyPool:
        """Made when first asked for."""
        key = (type(self), self.key())
        with _making:
            if key not in _pools:
                _pools[key] = self.pool_class(cast("BaselineBackend", self.wrapped), self.settings.options)
            return _pools[key]

    def own(self, settings: PooledBaselineSettings) -> PooledBaselineSettings:
        return settings.derive(conn_max_age=0.0, conn_health_checks=False)

    def key(self) -> object:
        return self.settings.fingerprint

    @override
    def get_connection_params(self) -> PoolParams:
        return {"wait": self.settings.options.wait}

    @override
    def get_new_connection(self, params: PoolParams, /) -> Connection:
        return self.pool.acquire(params["wait"])

    @override
    def configure_connection(self, connection: Connection, /) -> None:
        """Nothing: the pool did, right after open."""

    @override
    def close_connection(self, connection: Connection, /) -> None:
        self.pool.release(connection)

    @override
    def drop_connection(self, connection: Connection, /) -> None:
        self.pool.drop(connection)
