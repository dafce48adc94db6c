"""What a pool does to one connection that it has in hand: open, look, clean, close."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from backend_sdk import BaseBackend, Error, SupportsIsBroken, SupportsTransactionStatus, TransactionStatus

from .slots import Slot, is_held

if TYPE_CHECKING:
    from .options import PoolOptions

__all__ = ["Sessions"]

ConnT = TypeVar("ConnT")

_UNFINISHED = frozenset({TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED})
_JITTER = 0.1  # connections opened together are not to expire together


class Sessions(Generic[ConnT]):
    """The sessions of *backend*, as *options* want them. *clock*: monotonic seconds, *chance*: a number from 0 to 1."""

    def __init__(
        self,
        backend: BaseBackend[Any, Any, ConnT, Any],
        options: PoolOptions,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.backend = backend
        self.clock = clock
        self.trusted = options.reset == "trusted"
        self.verdict = backend.is_broken if SupportsIsBroken in backend.abilities else None
        self.status = backend.transaction_status if SupportsTransactionStatus in backend.abilities else None
        self.generation = 0
        """Those opened under an earlier one are outdated."""
        self._options = options
        self._chance = chance

    def open(self, slot: Slot[ConnT]) -> None:
        """Open, configure, autocommit, init. On failure what is open is left in *slot*, to be closed."""
        backend, slot.generation = self.backend, self.generation
        slot.connection = connection = backend.get_new_connection(backend.get_connection_params())
        step = "configure_connection"
        try:
            backend.configure_connection(connection)
            step = "set_autocommit"
            backend.set_autocommit(connection, backend.settings.autocommit)
            step = "init_connection_state"
            backend.init_connection_state(connection)
        except Exception as error:
            # The wrapper sees one call, so it could not tell which step failed.
            errors = backend.errors_for(error)
            if isinstance(error, Error) or not isinstance(error, errors.caught):
                raise
            ours = errors.translate(error)
            ours.step = step
            raise ours from error
        slot.opened += 1
        self._note_clean(slot)
        lifetime = self._options.max_lifetime
        slot.expires = float("inf") if lifetime is None else slot.idle_since + lifetime * (1 - _JITTER * self._chance())

    def close(self, slot: Slot[ConnT]) -> ConnT | None:
        """Close and empty *slot*; returns what was in it."""
        connection, slot.connection = slot.connection, None
        slot.plain = slot.dirty = False
        slot.direct = 0
        if connection is not None:
            try:
                self.backend.close_connection(connection)
            except Exception:  # it is gone all the same
                return connection
        return connection

    def still_good(self, slot: Slot[ConnT]) -> bool:
        """Whether the next user may have it: a look, the cleaning that a finalizer left over, a ping if due."""
        now = self.clock()
        if self.outdated(slot, now) or self.looks_broken(slot):
            return False
        if slot.dirty:
            return self.clean(slot)
        limit = self._options.ping_after
        if limit is not None and slot.marked == slot.since and now - slot.idle_since >= limit:
            try:
                self.backend.ping(slot.connection)  # type: ignore[arg-type]  # it has one
            except Exception:
                slot.broken += 1
                return False
        self.make_plain(slot)
        return True

    def outdated(self, slot: Slot[ConnT], now: float) -> bool:
        return slot.generation != self.generation or now >= slot.expires

    def looks_broken(self, slot: Slot[ConnT]) -> bool:
        broken = self.seems_broken(slot)
        slot.broken += broken
        return broken

    def seems_broken(self, slot: Slot[ConnT]) -> bool:
        """The backend's verdict, uncounted."""
        try:
            return self.verdict is not None and self.verdict(slot.connection)  # type: ignore[arg-type]  # it has one
        except Exception:
            return True

    def is_at_rest(self, connection: ConnT) -> bool:
        """Whether no transaction is open, and the driver has not noticed that the session is gone."""
        try:
            return self.status is None or self.status(connection) is TransactionStatus.IDLE
        except Exception:  # a closer look will tell
            return False

    def clean(self, slot: Slot[ConnT]) -> bool:
        """Make the session what ``init_connection_state`` leaves, for somebody else. False if that cannot be done.

        Nor is it done to what a dead thread's or a dropped wrapper's user still holds: drivers crash where two threads
        talk on one connection, and two users of one session see each other's work.
        """
        if slot.dirty and is_held(slot):
            return False
        backend, connection = self.backend, slot.connection
        assert connection is not None
        try:
            if self.trusted:
                if self.status is not None and self.status(connection) in _UNFINISHED:
                    backend.rollback(connection)
            else:
                backend.renew(connection)
                slot.resets += 1
        except Exception:
            slot.broken += 1
            return False
        self._note_clean(slot)
        return True

    def _note_clean(self, slot: Slot[ConnT]) -> None:
        slot.dirty = False
        slot.fresh = True
        slot.idle_since = self.clock()
        slot.marked = slot.since
        self.make_plain(slot)

    def make_plain(self, slot: Slot[ConnT]) -> None:
        slot.plain = self._options.ping_after != 0 and slot.generation == self.generation  # else there is always more
