"""A pool of one database's connections: who gets which, when, and what becomes of it afterwards.

Nothing here waits for a lock (see `Line`), so a finalizer may give back at any point.

Source: Django ticket 19274. The hand-off to waiters in order is what keeps threads from starving.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from backend_sdk import (
    BaseBackend,
    InterfaceError,
    park,
)

from .contract import Keeper, PoolClosed, PoolStatistics, PoolTimeout, no_room, out_of_time, refused
from .line import Line
from .orphans import Orphans
from .owners import Owner, current_owner, current_task, here, running_tasks, thread_owner
from .sessions import Sessions
from .slots import Slot, key_of, references
from .turns import Waiter

if TYPE_CHECKING:
    from .options import PoolOptions

__all__ = ["Pool"]

ConnT = TypeVar("ConnT")

_RETRY = (1.0, 60.0)  # seconds from one failed attempt to fill the pool to the next: the first, and at most


class Pool(Generic[ConnT]):
    """At most ``max_size`` connections of *backend*, handed out one lease at a time.

    *clock* is monotonic seconds, *chance* a number from 0 to 1. Leases are timed by the last `upkeep`, since a look at
    the clock would cost as much as all else that an acquisition does.
    """

    can_evict = True

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
        self._sessions = Sessions(backend, options, clock=clock, chance=chance)
        # On the way of every lease, so looked up once.
        self._hungry = keeper.room.hungry
        self._has_verdict = self._sessions.verdict is not None
        self._trusted = self._sessions.trusted
        self._light = self._trusted and self._sessions.status is None
        self._now = clock()
        self._timeouts = 0
        self._retry_at, self._retry_after = 0.0, _RETRY[0]
        self._inherited: set[int] = set()  # ids of the parent process's connections, which are parked for good
        self._start_empty()

    def _start_empty(self) -> None:
        self._line: Line[ConnT] = Line(self.options.max_size)
        self._idle, self._waiters = self._line.idle, self._line.waiters
        self._slots: dict[object, Slot[ConnT]] = {}  # by what `key_of` says
        self._orphans: Orphans[Slot[ConnT]] = Orphans()
        self._tasks = running_tasks()

    def __repr__(self) -> str:
        return f"<Pool of {self._backend!r}>"

    # Leases

    def acquire(self, timeout: float | None = None) -> ConnT:
        """A clean connection that is the caller's until released. Raises `PoolTimeout` if none is free in time."""
        if not self._waiters and (not self._tasks or self._is_outside_of_tasks()):
            try:
                slot = self._idle.pop()
            except IndexError:
                return self._acquire_in_turn(timeout)
            try:
                owner = slot.last
                if not owner.lock._is_owned():
                    owner = slot.last = here.owner or thread_owner()
                if slot.plain and not (self._has_verdict and self._sessions.seems_broken(slot)):
                    slot.since = self._now
                    slot.owner = owner
                    return slot.connection  # type: ignore[return-value]  # an idle slot has one
            except BaseException:  # KeyboardInterrupt, during the look
                self._discard(slot)
                raise
            return self._lease(slot, owner, self.options.timeout if timeout is None else timeout)
        return self._acquire_in_turn(timeout)

    def _is_outside_of_tasks(self) -> bool:
        self._tasks = running_tasks()  # asyncio may have been imported by now
        return current_task() is None

    def release(self, connection: ConnT) -> None:
        """End the lease: clean the session and hand it to the next waiter, or close it if it cannot be cleaned."""
        try:
            slot = self._slots[connection]
        except (KeyError, TypeError):
            found = self._slot_of(connection)
            if found is None:
                return self._stray(connection)
            slot = found
        if slot.owner is None:
            raise InterfaceError("released twice: this connection is not leased, and may be another's by now")
        slot.owner = None  # at once: who releases it a second time meanwhile is to be refused
        if slot.plain and (self._light or (self._trusted and self._sessions.is_at_rest(connection))):
            slot.fresh = True
            if self._waiters:
                slot.direct = self._line.last_number()
                slot.plain = False
            self._idle.append(slot)
            if self._waiters or self._hungry:
                self._tell()
            return None
        return self._recycle(slot)

    def drop(self, connection: ConnT) -> None:
        """As `release`, in a finalizer: nothing is sent to the server here; the next to acquire or tend does it."""
        slot = self._slot_of(connection)
        if slot is None or slot.owner is None:
            return None
        slot.owner = None
        if self._line.closed:  # nobody tends it any more
            return self._discard(slot)
        slot.dirty = True
        slot.plain = False
        self._line.put_back(slot)
        return self._keeper.wake()

    def is_fresh(self, connection: ConnT) -> bool:
        """Whether the session is just as ``init_connection_state`` leaves it; true once per lease."""
        slot = self._slot_of(connection)
        if slot is None or not slot.fresh:
            return False
        slot.fresh = False
        return True

    def spoil(self, connection: ConnT) -> None:
        """The session has been reset by its holder: it needs initializing."""
        slot = self._slot_of(connection)
        if slot is not None:
            slot.fresh = False

    def _slot_of(self, connection: ConnT) -> Slot[ConnT] | None:
        return self._slots.get(key_of(connection))

    def _stray(self, connection: ConnT) -> None:
        if id(connection) in self._inherited:
            return
        try:
            self._backend.close_connection(connection)  # never ours
        except self._backend.errors_for(connection).caught:  # or reclaimed: closed by the pool already
            return

    def _acquire_in_turn(self, timeout: float | None) -> ConnT:
        timeout = self.options.timeout if timeout is None else timeout
        owner = current_owner()
        if not self._idle and (self._line.dropped or self._orphans.waiting):
            self._tend()
        waiter: Waiter[Slot[ConnT]] = Waiter()
        began = time.monotonic() if self._keeper.room.limit else 0.0
        try:
            self._waiters.append(waiter)
            self._line.dispatch()
            in_time = waiter.wait(timeout)
        except BaseException:  # KeyboardInterrupt, while waiting
            slot = waiter.abandon()
            if slot is not None:
                self._line.put_back(slot)
            raise
        if not in_time:
            self._line.dispatch()  # he stands in line no more
            raise self._out_of_time(timeout)
        slot = waiter.granted
        if slot is None:
            raise self._refused()
        if began:  # the wait for room is to end when this would have
            timeout = round(began + timeout - time.monotonic(), 3)
        return self._lease(slot, owner, timeout, waiter.number)

    def _lease(self, slot: Slot[ConnT], owner: Owner, timeout: float, number: float = inf) -> ConnT:
        """Make ready what is in hand, for *owner*, who waited as *number* and can *timeout* seconds more for room."""
        try:
            if self._line.closed:
                raise self._refused()
            if number <= slot.direct and slot.generation == self._sessions.generation:
                # From hand to hand: it was in use just now, and at rest when it was let go.
                self._sessions.make_plain(slot)
            elif slot.connection is not None and not self._sessions.still_good(slot):
                self._close(slot)
            if slot.connection is None:
                slot.place = self._keeper.room.enter(timeout)
                if slot.place is None:
                    raise self._out_of_time(max(0.0, timeout), f"; {self._keeper.room.full}")
                self._open(slot)
        except BaseException:
            self._discard(slot)
            raise
        if self._line.closed:
            slot.plain = False  # closed meanwhile: its return is going to look closer
        slot.direct = 0
        slot.since = self._now = self._clock()  # nobody tends, and so nobody times, a pool that had no connection
        slot.owner = owner
        return slot.connection  # type: ignore[return-value]  # opened, if there was none

    # One slot in hand

    def _recycle(self, slot: Slot[ConnT]) -> None:
        """Shelve what was leased, cleaned, or close it."""
        sessions = self._sessions
        try:
            keep = (
                not self._line.closed
                and not sessions.outdated(slot, self._clock())
                and not sessions.looks_broken(slot)
                and sessions.clean(slot)
            )
        except BaseException:
            self._discard(slot)
            raise
        if keep:
            self._shelve(slot)
        else:
            self._discard(slot)

    def _shelve(self, slot: Slot[ConnT]) -> None:
        if slot.generation != self._sessions.generation:  # drained while it was being cleaned
            return self._discard(slot)
        self._idle.append(slot)
        self._tell()
        if self._line.closed:  # meanwhile: whoever closed the pool has not seen this one
            self._close_idle()
        return None

    def _tell(self) -> None:
        """Something is idle: those who wait for it, or for room, are to know."""
        if self._waiters and not (self._hungry and self._keeper.room.is_asked_before(self._waiters)):
            self._line.dispatch()
        if self._hungry:
            self._keeper.room.feed()
            self._line.dispatch()

    def _open(self, slot: Slot[ConnT]) -> None:
        """Open what has a place."""
        try:
            self._sessions.open(slot)
        except BaseException:
            self._close(slot)
            raise
        self._slots[key_of(slot.connection)] = slot
        slot.references = references(slot)
        self._keeper.watch(self)

    def _close(self, slot: Slot[ConnT]) -> None:
        # First: another thread's new connection may come to lie at the same address.
        self._slots.pop(key_of(slot.connection), None)
        self._sessions.close(slot)
        place, slot.place = slot.place, None
        if place is not None:
            self._keeper.room.leave(place)

    def _discard(self, slot: Slot[ConnT]) -> None:
        self._close(slot)
        self._line.put_back(slot)

    def _out_of_time(self, timeout: float, why: str = "") -> PoolTimeout:
        self._timeouts += 1
        self._now = self._clock()
        held = [(slot.since, slot.owner.label) for slot in self._line.slots if slot.owner is not None]
        now = self.statistics()
        now = replace(now, waiting=now.waiting + 1)  # this one has just given up
        return out_of_time(self._backend, now, held, timeout, self._now, why)

    def _refused(self) -> PoolClosed:
        return refused(self)

    # Tending

    def owner_gone(self, owner: Owner) -> None:
        """Note *owner*'s leases for `upkeep`. Called in a finalizer, or in an event loop."""
        if self._orphans.note(self._line.slots, owner):
            self._keeper.wake()

    def _tend(self) -> None:
        """What finalizers have left to do."""
        self._orphans.end()
        while self._line.dropped:
            try:
                slot = self._line.dropped.popleft()
            except IndexError:
                break
            self._recycle(slot)

    def upkeep(self) -> None:
        """One round: note the time, reclaim, close what is too old or idle too long, fill up to ``min_size``."""
        now = self._now = self._clock()
        self._tasks = running_tasks()
        self._orphans.look_again(self._discard)
        self._orphans.seek(self._line.slots)
        self._tend()
        self._recover()
        for slot in self._line.slots:
            if slot.connection is not None and self._sessions.outdated(slot, now):
                slot.plain = False  # its release is going to look closer
        for slot in list(self._idle):
            self._age(slot, now)
        self._fill(now)

    def _recover(self) -> None:
        """Take back what the exception of a signal handler has left in nobody's hands, and serve who waits for it."""
        for slot in self._line.lost():
            self._discard(slot)
        if self._idle:
            self._tell()
        self._line.dispatch()

    def _age(self, slot: Slot[ConnT], now: float) -> None:
        if slot.marked != slot.since:  # leased since the last round, and back
            slot.marked, slot.idle_since = slot.since, now
        options, idle = self.options, now - slot.idle_since
        surplus = options.max_idle is not None and idle >= options.max_idle and self.size > options.min_size
        if surplus or self._line.closed or self._sessions.outdated(slot, now):
            self._evict(slot)
        elif options.ping_after is not None and idle >= options.ping_after:
            slot.plain = False

    def _evict(self, slot: Slot[ConnT]) -> bool:
        if not self._line.take_idle(slot):
            return False
        self._discard(slot)
        return True

    def _fill(self, now: float) -> None:
        while not self._line.closed and self.size < self.options.min_size and now >= self._retry_at:
            try:
                self._open_one()
            except Exception:  # the server is away, perhaps; who acquires is told
                self._retry_at = now + self._retry_after
                self._retry_after = min(2 * self._retry_after, _RETRY[1])
            else:
                self._retry_after = _RETRY[0]

    def _open_one(self) -> None:
        try:
            slot = self._line.free.pop()
        except IndexError:
            return
        try:
            slot.place = self._keeper.room.enter_freely()
            if slot.place is None:
                raise no_room(self, self._keeper.room.full)
            self._open(slot)
        except BaseException:
            self._discard(slot)
            raise
        self._shelve(slot)

    # The whole

    @property
    def size(self) -> int:
        """How many connections are open, or being opened."""
        return self.options.max_size - len(self._line.free)

    @property
    def is_closed(self) -> bool:
        return self._line.closed

    def idle_longest(self) -> float | None:
        """When the one that has been idle longest was last used; None if none is idle."""
        try:
            return self._idle[0].since
        except IndexError:
            return None

    def evict_one(self) -> bool:
        """Close the one that has been idle longest."""
        try:
            return self._evict(self._idle[0])
        except IndexError:
            return False

    def statistics(self) -> PoolStatistics:
        """Exact while nobody acquires or releases."""
        slots = self._line.slots
        return PoolStatistics(
            max_size=self.options.max_size,
            size=self.size,
            idle=len(self._idle),
            leased=sum(slot.owner is not None for slot in slots),
            waiting=self._line.waiting,
            opened=sum(slot.opened for slot in slots),
            broken=sum(slot.broken for slot in slots),
            resets=sum(slot.resets for slot in slots),
            reclaimed=self._orphans.reclaimed,
            timeouts=self._timeouts,
        )

    def warm_up(self) -> None:
        """Open ``min_size`` connections now. Raises what the driver raises."""
        while self.size < self.options.min_size:
            self._open_one()

    def drain(self) -> None:
        """Close every connection there is now: the idle at once, the leased on their return."""
        self._sessions.generation += 1
        for slot in self._line.slots:
            slot.plain = False
        for slot in list(self._idle):
            if slot.generation != self._sessions.generation:
                self._evict(slot)

    def close(self) -> None:
        """Refuse acquisitions, those that wait too, and close the connections: the leased on their return."""
        self._line.closed = True
        for slot in self._line.slots:
            slot.plain = False
        self._line.dispatch()
        self._tend()
        self._close_idle()

    def _close_idle(self) -> None:
        for slot in list(self._idle):
            self._evict(slot)

    def renew_after_fork(self) -> None:
        """In a forked child: the connections are the parent's, and so is whoever held a lock."""
        for slot in self._line.slots:
            if slot.connection is not None:
                self._inherited.add(id(slot.connection))
                park(slot.connection)
        self._start_empty()
