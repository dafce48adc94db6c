"""Every pool of the process, found by fingerprint; their upkeep in the background, their cap, and forks."""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary, ref

from backend_sdk import BaseBackend, DelegatingBackend

from .options import PoolOptions
from .owners import Owner, forget_listeners, when_gone
from .room import Room

__all__ = ["Pools", "Tended", "default_pools"]

PoolT = TypeVar("PoolT", bound="Tended")
PoolT_co = TypeVar("PoolT_co", bound="Tended", covariant=True)

_TICK = 1.0  # seconds from one round of upkeep to the next


class Tended(Protocol):
    """What this module does with a pool; `Pool` says what each of it means."""

    options: PoolOptions

    @property
    def can_evict(self) -> bool: ...

    @property
    def size(self) -> int: ...

    @property
    def is_closed(self) -> bool: ...

    def upkeep(self) -> None: ...

    def owner_gone(self, owner: Owner) -> None: ...

    def idle_longest(self) -> float | None: ...

    def evict_one(self) -> bool: ...

    def close(self) -> None: ...

    def renew_after_fork(self) -> None: ...


class Make(Protocol[PoolT_co]):
    """A pool's class."""

    def __call__(
        self, backend: BaseBackend[Any, Any, Any, Any], options: PoolOptions, /, *, keeper: Pools,
        clock: Callable[[], float], chance: Callable[[], float],
    ) -> PoolT_co: ...  # fmt: skip


class Pools:
    """The pools that share a cap and a thread for their upkeep. A process has one; tests make their own.

    *limit* is how many connections all pools together may have. Without *background*, `upkeep` is to be called.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        background: bool = True,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._background = background
        self._known: WeakValueDictionary[tuple[object, ...], Tended] = WeakValueDictionary()
        self._watched: dict[int, Tended] = {}  # those with connections, so that a tenant's stay between his requests
        self.room = Room(limit, _weakly(self, Pools._evict))
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._bell = allocate_lock()
        self._stopping = False
        _everyone[id(self)] = self

    def pool_for(self, backend: BaseBackend[Any, Any, Any, Any], options: PoolOptions, make: Make[PoolT]) -> PoolT:
        """The pool of *backend*'s sessions, by kind and fingerprint, never by alias; made with *make* if need be."""
        key = (make, *_kinds(backend), backend.settings.fingerprint, options)
        with self._lock:
            known: Any = self._known.get(key)
            pool: PoolT | None = known  # of that class, as the key says
            if pool is None or pool.is_closed:
                pool = make(backend, options, keeper=self, clock=self._clock, chance=self._chance)
                self._known[key] = pool
            return pool

    def set_limit(self, limit: int | None) -> None:
        """Cap the connections of all pools together; only while there are none, and none that another library keeps."""
        if any(pool.size for pool in self._watched.values()):
            raise ValueError("set the limit before the first connection is opened")
        uncapped = [pool for pool in list(self._known.values()) if not pool.can_evict]
        if limit is not None and uncapped:
            raise ValueError(f'{uncapped[0]!r} can keep no cap over all pools; use the engine "pooled"')
        self.room.empty(limit)

    @property
    def pools(self) -> list[Tended]:
        """The pools that have connections."""
        return list(self._watched.values())

    def watch(self, pool: Tended) -> None:
        self._watched[id(pool)] = pool
        if self._background and self._thread is None and not self._stopping:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # The thread holds what it tends only while it tends it.
                target = _tend_while_there
                thread = threading.Thread(target=target, args=(ref(self), self._bell), name="pool-upkeep", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down: there is nothing left to tend
                    return
                self._thread = thread

    def wake(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:  # rung already
            return

    def upkeep(self) -> None:
        """One round over all pools."""
        self.room.recover()
        for key, pool in list(self._watched.items()):
            try:
                pool.upkeep()
            except Exception:  # a wrapped backend's own mistake: the other pools still want tending
                _log_failure()
            if not pool.size and (pool.is_closed or not pool.options.min_size):
                self._watched.pop(key, None)
                if pool.size:  # opened one meanwhile
                    self._watched[key] = pool

    def owner_gone(self, owner: Owner) -> None:
        for pool in list(self._watched.values()):
            pool.owner_gone(owner)

    def _evict(self) -> bool:
        """Close the connection that has been idle longest, whosever it is."""
        found = [(since, pool) for pool in self.pools if (since := pool.idle_longest()) is not None]
        found.sort(key=lambda each: each[0])
        return any(pool.evict_one() for _, pool in found)

    def close(self) -> None:
        """Close every pool, and stop the upkeep."""
        self._stopping = True
        for pool in list(self._watched.values()):
            pool.close()
        self._watched.clear()
        self.wake()

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()
        self._bell = allocate_lock()
        self._thread = None
        self.room.empty(self.room.limit)
        # What was closed, and has another in its place, is among the watched while it has connections.
        for pool in {*self._known.values(), *self._watched.values()}:
            pool.renew_after_fork()
        self._watched.clear()


def _kinds(backend: Any) -> tuple[object, ...]:
    """The classes of *backend* and of what it wraps: two kinds of backend may open the same settings differently."""
    inside = backend.wrapped if isinstance(backend, DelegatingBackend) else None
    return (type(backend), *(_kinds(inside) if inside is not None else ()))


def _weakly(pools: Pools, method: Callable[[Pools], bool]) -> Callable[[], bool]:
    """*method* of *pools*, which it does not keep alive."""
    found = ref(pools)

    def call() -> bool:
        alive = found()
        return alive is not None and method(alive)

    return call


def _tend_while_there(found: Callable[[], Pools | None], bell: Any) -> None:
    while True:
        bell.acquire(timeout=_TICK)
        pools = found()
        if pools is None or pools._stopping or pools._bell is not bell:
            return
        pools.upkeep()
        if not pools._watched:
            with pools._lock:
                if not pools._watched:  # one opened meanwhile finds either this thread, or none
                    pools._thread = None
                    return
        del pools


def _log_failure() -> None:
    import logging

    logging.getLogger("reference_backends.pooled").warning("a round of a pool's upkeep failed", exc_info=True)


_everyone: WeakValueDictionary[int, Pools] = WeakValueDictionary()
_default = Pools()


def default_pools() -> Pools:
    """This process's pools."""
    return _default


def _all(everyone: WeakValueDictionary[int, Pools] = _everyone) -> list[Pools]:
    """Those that are alive. The references are copied in one step, so another thread may make one meanwhile."""
    return [pools for seen in everyone.valuerefs() if (pools := seen()) is not None]


def _owner_gone(owner: Owner, everyone: Callable[[], list[Pools]] = _all) -> None:
    for pools in everyone():  # bound above: called when the modules may have been emptied
        pools.owner_gone(owner)


def _before_fork() -> None:
    if any(pools.pools for pools in _all()):
        try:  # here, since in the child an import could wait for a lock of a thread that is not there
            import ctypes  # noqa: F401 - loaded for `park`
        except ImportError:
            pass


def _after_fork() -> None:
    for pools in _all():
        pools.renew_after_fork()


def _at_exit() -> None:
    forget_listeners()
    for pools in _all():
        pools.close()


when_gone(_owner_gone)
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
