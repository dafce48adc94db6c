"""Somebody else's pool behind the same contract; leases that end with their owner, and forks, are added here."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from backend_sdk import BaseBackend, InterfaceError, SupportsIsBroken, TransactionStatus, handle_of, park

from .contract import Keeper, PoolClosed, PoolTimeout
from .options import PoolOptions
from .owners import Owner, current_owner

__all__ = ["AdaptedPool", "Lease"]

ConnT = TypeVar("ConnT")


class Lease(Generic[ConnT]):
    """A connection, who has it, and what the pool itself calls it."""

    __slots__ = ("connection", "fresh", "inner", "owner", "token")

    def __init__(self, inner: Any, connection: ConnT, owner: Owner, token: Any) -> None:
        self.inner = inner  # not always the present one: see `AdaptedPool.drain`
        self.connection = connection
        self.owner: Owner | None = owner
        self.token = token
        self.fresh = True


class AdaptedPool(ABC, Generic[ConnT]):
    """A subclass makes the pool, takes from it and gives back. *clock* and *chance* are the other pool's business."""

    def __init__(
        self,
        backend: BaseBackend[Any, Any, ConnT, Any],
        options: PoolOptions,
        /,
        *,
        keeper: Keeper,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.options = options
        self._backend = backend
        self._keeper = keeper
        self._closed = False
        self._inherited: set[int] = set()
        self._start_empty()

    def _start_empty(self) -> None:
        self._leases: dict[int, Lease[ConnT]] = {}
        self._dropped: deque[Lease[ConnT]] = deque()
        self._orphans: deque[tuple[Lease[ConnT], Owner]] = deque()
        self._inner: Any = None
        self._making = threading.Lock()

    @abstractmethod
    def _make(self) -> Any:
        """The other pool, which opens by `_open`."""

    @abstractmethod
    def _take(self, inner: Any, timeout: float) -> tuple[ConnT, Any]:
        """A connection, and what `_give` needs. Raises `PoolTimeout`."""

    @abstractmethod
    def _give(self, lease: Lease[ConnT], *, usable: bool) -> None:
        """Give back, or away if it is not *usable*."""

    @abstractmethod
    def _end(self, inner: Any) -> None:
        """Close the other pool."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many connections the other pool has."""

    @property
    def is_closed(self) -> bool:
        return self._closed

    def _open(self) -> ConnT:
        backend = self._backend
        connection = backend.get_new_connection(backend.get_connection_params())
        try:
            backend.configure_connection(connection)
            backend.set_autocommit(connection, backend.settings.autocommit)
            backend.init_connection_state(connection)
        except BaseException:
            backend.close_connection(connection)
            raise
        return connection

    def _clean(self, connection: ConnT) -> bool:
        """As the options say; False if it cannot be done, or is not worth it."""
        backend = self._backend
        try:
            if SupportsIsBroken in backend.abilities and backend.is_broken(connection):
                return False
            if self.options.reset == "full":
                backend.reset(connection)
                backend.set_autocommit(connection, backend.settings.autocommit)
                backend.init_connection_state(connection)
            elif backend.transaction_status(connection) in {TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED}:
                backend.rollback(connection)
        except Exception:
            return False
        return True

    def acquire(self, timeout: float | None = None) -> ConnT:
        if self._closed:
            raise PoolClosed(f"{self!r} is closed")
        owner = current_owner()
        self._tend()
        inner = self._made()
        self._keeper.watch(self)
        try:
            connection, token = self._take(inner, self.options.timeout if timeout is None else timeout)
        except PoolTimeout as error:
            error.step = "acquire"
            raise
        self._leases[id(connection)] = Lease(inner, connection, owner, token)
        return connection

    def _made(self) -> Any:
        with self._making:
            if self._inner is None:
                self._inner = self._make()
            return self._inner

    def release(self, connection: ConnT) -> None:
        lease = self._leases.pop(id(connection), None)
        if lease is None:
            if id(connection) not in self._inherited:
                raise InterfaceError("released twice: this connection is not leased, and may be another's by now")
            return
        lease.owner = None
        self._return(lease)

    def _return(self, lease: Lease[ConnT]) -> None:
        self._give(lease, usable=not self._closed and self._clean(lease.connection))

    def drop(self, connection: ConnT) -> None:
        """As `release`, in a finalizer: both other pools take locks, so it is left to the next who comes."""
        lease = self._leases.pop(id(connection), None)
        if lease is not None:
            lease.owner = None
            self._dropped.append(lease)
            self._keeper.wake()

    def is_fresh(self, connection: ConnT) -> bool:
        lease = self._leases.get(id(connection))
        fresh = lease is not None and lease.fresh
        self.spoil(connection)
        return fresh

    def spoil(self, connection: ConnT) -> None:
        lease = self._leases.get(id(connection))
        if lease is not None:
            lease.fresh = False

    def owner_gone(self, owner: Owner) -> None:
        lost = [(lease, owner) for lease in list(self._leases.values()) if lease.owner is owner]
        if lost:
            self._orphans.extend(lost)
            self._keeper.wake()

    def _tend(self) -> None:
        for lease, owner in [self._orphans.popleft() for _ in range(len(self._orphans))]:
            handle = handle_of(lease.connection) if lease.owner is owner else None
            if handle is not None and not handle.shared:
                try:
                    handle.close()
                except Exception:
                    continue
        while self._dropped:
            try:
                lease = self._dropped.popleft()
            except IndexError:
                return
            self._return(lease)

    def upkeep(self) -> None:
        """The other pool tends itself; what finalizers have left is done here."""
        self._tend()

    def idle_longest(self) -> None:
        """The cap over all pools is not kept by another's pool."""

    def evict_one(self) -> bool:
        return False

    def drain(self) -> None:
        """Let the present pool run out, and begin another."""
        inner, self._inner = self._inner, None
        if inner is not None:
            self._end(inner)

    def close(self) -> None:
        self._closed = True
        self._tend()
        if self._inner is not None:
            self._end(self._inner)

    def renew_after_fork(self) -> None:
        if self._inner is not None:
            park(self._inner)
        for lease in self._leases.values():
            self._inherited.add(id(lease.connection))
            park(lease)
        self._start_empty()
