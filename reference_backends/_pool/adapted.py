"""Somebody else's pool behind the same contract; leases that end with their owner, looks, and forks are added here."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from backend_sdk import (
    BaseBackend,
    ImproperlyConfigured,
    InterfaceError,
    SupportsIsBroken,
    TransactionStatus,
    park,
)

from .contract import Keeper, PoolClosed, PoolStatistics, PoolTimeout, out_of_time, refused
from .options import PoolOptions
from .orphans import Orphans
from .owners import Owner, current_owner
from .registry import Pools
from .slots import is_held, references

__all__ = ["AdaptedPool", "Lease", "refuse_cap"]

ConnT = TypeVar("ConnT")

_RETRY = 10.0  # seconds from one failed attempt to fill the pool to the next
_UNFINISHED = frozenset({TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED})


class Lease(Generic[ConnT]):
    """A connection, who has it since when, and what the pool itself calls it."""

    __slots__ = ("connection", "fresh", "inner", "owner", "references", "since", "token")

    def __init__(self, inner: Any, connection: ConnT, owner: Owner, token: Any, since: float) -> None:
        self.inner = inner  # not always the present one: see `AdaptedPool.drain`
        self.connection = connection
        self.owner: Owner | None = owner
        self.token = token
        self.since = since
        self.fresh = True
        self.references = 0


class AdaptedPool(ABC, Generic[ConnT]):
    """A subclass makes the pool, takes from it and gives back. *chance* is the other pool's business.

    Neither other pool closes an idle connection because somebody else wants one, so there is no cap over all pools.
    """

    can_evict = False

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
        self._clock = clock
        self._closed = False
        self._inherited: set[int] = set()
        self._start_empty()

    def _start_empty(self) -> None:
        self._leases: dict[int, Lease[ConnT]] = {}
        self._dropped: deque[Lease[ConnT]] = deque()
        self._orphans: Orphans[Lease[ConnT]] = Orphans()
        self._returned: dict[int, float] = {}  # when each idle one came back, by id
        self._takers: list[Owner] = []
        self._inner: Any = None
        self._making = threading.Condition()
        self._retry_at = 0.0
        self._opened = self._broken = self._resets = self._timeouts = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._backend!r}>"

    @abstractmethod
    def _make(self) -> Any:
        """The other pool, which opens by `_open`."""

    @abstractmethod
    def _take(self, inner: Any, timeout: float) -> tuple[ConnT, Any]:
        """A connection for which `_still_good` holds, and what `_give` needs. Raises `TimeoutError` or `PoolClosed`."""

    @abstractmethod
    def _give(self, lease: Lease[ConnT], *, usable: bool) -> None:
        """Give back, or away if it is not *usable*."""

    @abstractmethod
    def _end(self, inner: Any) -> None:
        """Close the other pool."""

    @abstractmethod
    def _size(self, inner: Any) -> int:
        """How many connections the other pool has."""

    @property
    def size(self) -> int:
        """How many connections there are: after `close` and `drain` the leased ones are no longer the other pool's."""
        inner, leased = self._inner, len(self._leases) + len(self._dropped)
        return leased if inner is None or self._closed else max(leased, self._size(inner))

    @property
    def is_closed(self) -> bool:
        return self._closed

    # One connection

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
        with self._making:
            self._opened += 1
        return connection

    def _still_good(self, connection: ConnT) -> bool:
        """Whether the next user may have what was idle: a look, and a ping if due."""
        backend, limit = self._backend, self.options.ping_after
        since = self._returned.pop(id(connection), None)
        try:
            if SupportsIsBroken in backend.abilities and backend.is_broken(connection):
                raise InterfaceError("broken while idle")
            if since is not None and limit is not None and self._clock() - since >= limit:
                backend.ping(connection)  # without the ability it does nothing
        except Exception:
            self._broken += 1
            return False
        return True

    def _clean(self, connection: ConnT) -> bool:
        """As the options say; False if it cannot be done, or is not worth it."""
        backend = self._backend
        try:
            if SupportsIsBroken in backend.abilities and backend.is_broken(connection):
                raise InterfaceError("broken in use")
            if self.options.reset == "full":
                backend.renew(connection)
                self._resets += 1
            elif backend.transaction_status(connection) in _UNFINISHED:
                backend.rollback(connection)
        except Exception:
            self._broken += 1
            return False
        return True

    # Leases

    def acquire(self, timeout: float | None = None) -> ConnT:
        if self._closed:
            raise refused(self)
        owner = current_owner()
        self._tend()
        timeout = self.options.timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        self._takers.append(owner)
        try:
            inner, (connection, token) = self._take_of_present(timeout, deadline)
        except TimeoutError as error:
            raise self._out_of_time(timeout, str(error)) from error.__cause__
        finally:
            self._takers.remove(owner)
        self._returned.pop(id(connection), None)
        lease = Lease(inner, connection, owner, token, self._clock())
        lease.references = references(lease) - 1  # this function's own
        if self._closed:  # while this one waited
            self._give(lease, usable=False)
            raise refused(self)
        self._leases[id(connection)] = lease
        self._keeper.watch(self)  # now, since it is watched for as long as it has connections
        return connection

    def _take_of_present(self, timeout: float, deadline: float) -> tuple[Any, tuple[ConnT, Any]]:
        """From the present pool; from the next one if this is drained while one waits."""
        while True:
            inner = self._made()
            try:
                return inner, self._take(inner, timeout)
            except PoolClosed as error:
                if self._inner is inner:  # it has not been drained
                    raise refused(self) from error.__cause__
            timeout = max(0.0, deadline - time.monotonic())

    def _made(self) -> Any:
        with self._making:
            if self._closed:
                raise refused(self)
            if self._inner is None:
                self._inner = self._make()
            return self._inner

    def _out_of_time(self, timeout: float, why: str) -> PoolTimeout:
        self._timeouts += 1
        held = [(lease.since, lease.owner.label) for lease in list(self._leases.values()) if lease.owner is not None]
        return out_of_time(self._backend, self.statistics(), held, timeout, self._clock(), f"; {why}")

    def release(self, connection: ConnT) -> None:
        lease = self._leases.pop(id(connection), None)
        if lease is None:
            return self._stray(connection)
        lease.owner = None
        return self._return(lease)

    def _stray(self, connection: ConnT) -> None:
        if id(connection) in self._inherited:
            return
        if id(connection) in self._returned:
            raise InterfaceError("released twice: this connection is not leased, and may be another's by now")
        try:
            self._backend.close_connection(connection)  # never ours
        except self._backend.errors_for(connection).caught:  # or reclaimed: closed already
            return

    def _return(self, lease: Lease[ConnT], *, dropped: bool = False) -> None:
        """Give back, cleaned. Not what was *dropped* by one while another holds it (see `Sessions.clean`)."""
        current = not self._closed and lease.inner is self._inner  # else it is to end with the pool it came from
        usable = current and not (dropped and is_held(lease)) and self._clean(lease.connection)
        if usable:
            self._returned[id(lease.connection)] = self._clock()
        self._give(lease, usable=usable)

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

    # Tending

    def owner_gone(self, owner: Owner) -> None:
        if self._orphans.note(list(self._leases.values()), owner):
            self._keeper.wake()

    def _tend(self) -> None:
        self._orphans.end()
        while self._dropped:
            try:
                lease = self._dropped.popleft()
            except IndexError:
                return
            self._return(lease, dropped=True)

    def upkeep(self) -> None:
        """What finalizers have left, and leases of the dead, are ended; up to ``min_size`` are opened."""
        self._orphans.look_again(self._discard)
        self._orphans.seek(list(self._leases.values()))
        self._tend()
        now = self._clock()
        if not self._closed and self.size < self.options.min_size and now >= self._retry_at:
            try:
                self.warm_up()
            except Exception:  # the server is away, perhaps; who acquires is told
                self._retry_at = now + _RETRY

    def _discard(self, lease: Lease[ConnT]) -> None:
        if self._leases.pop(id(lease.connection), None) is not None:
            self._give(lease, usable=False)

    def idle_longest(self) -> None:
        """The cap over all pools is not kept by another's pool."""

    def evict_one(self) -> bool:
        return False

    # The whole

    def warm_up(self) -> None:
        """Open ``min_size`` connections now. Raises what the driver raises."""
        held: list[ConnT] = []
        try:
            while self.size < self.options.min_size:  # what is idle comes first, so hold it until enough are open
                held.append(self.acquire())
        finally:
            for connection in held:
                self.release(connection)

    def statistics(self) -> PoolStatistics:
        """Exact while nobody acquires or releases."""
        leased, size = len(self._leases) + len(self._dropped), self.size
        return PoolStatistics(
            max_size=self.options.max_size,
            size=size,
            idle=max(0, size - leased),
            leased=leased,
            waiting=len(self._takers),
            opened=self._opened,
            broken=self._broken,
            resets=self._resets,
            reclaimed=self._orphans.reclaimed,
            timeouts=self._timeouts,
        )

    def drain(self) -> None:
        """Let the present pool run out, and begin another."""
        with self._making:  # nobody makes one meanwhile
            inner, self._inner = self._inner, None
        if inner is not None:
            self._end(inner)

    def close(self) -> None:
        self._closed = True
        self._tend()
        with self._making:
            inner = self._inner
        if inner is not None:
            self._end(inner)

    def renew_after_fork(self) -> None:
        if self._inner is not None:
            park(self._inner)
        for lease in (*self._leases.values(), *self._dropped):
            self._inherited.add(id(lease.connection))
            park(lease)
        self._start_empty()


def refuse_cap(pools: Pools, library: str) -> None:
    """Raise `ImproperlyConfigured` if *pools* are capped, which *library* cannot keep."""
    if pools.room.limit is not None:
        raise ImproperlyConfigured(
            f"these pools may have {pools.room.limit} connections together, and {library} closes no idle connection "
            'for another pool\'s sake; use the engine "pooled" under a cap'
        )
