"""Who may use a wrapper, and whether the session a cursor was made in is still the wrapper's.

A wrapper has one `Ownership` for life and one `Guard` for each session it opens. Cursors carry the guard,
never the wrapper: a held cursor keeps no session alive, and one guard revoked stops them all at once.

Source: Django ticket 17258 (thread-sharing checks).
"""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from .errors import (
    BlockingCallError,
    ConnectionClosedError,
    DriverErrors,
    Error,
    ScopeError,
    ThreadSharingError,
    Warning,
)
from .local import NOBODY, Token, blocking_allowed, current_token, is_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from .lifetime import Lifetime
    from .transaction import Transaction

__all__ = ["ExecuteContext", "ExecuteHook", "Guard", "Ownership", "given"]

R = TypeVar("R")


class ExecuteContext:
    """What an execute hook is told besides the statement: the alias and the cursor that runs it."""

    __slots__ = ("alias", "cursor")

    def __init__(self, alias: str, cursor: object) -> None:
        self.alias = alias
        self.cursor = cursor


class ExecuteHook(Protocol):
    """Wraps each execution: ``return execute(sql, params, many, context)``, with whatever around it."""

    def __call__(
        self, execute: Callable[..., Any], sql: object, params: object, many: bool, context: ExecuteContext, /
    ) -> object: ...


class Ownership:
    """The thread or task that made a wrapper, and how many times it is shared at present.

    *threadsafety* is PEP 249's level of the driver: below 2 the calls of sharing threads take turns. Opening
    and closing a shared wrapper is one thread's at a time whatever the level.
    """

    __slots__ = ("__weakref__", "alias", "allow_blocking", "ended", "lock", "shares", "threadsafety", "token", "turns")

    def __init__(self, alias: str, *, threadsafety: int, allow_blocking: bool) -> None:
        self.alias = alias
        self.token = current_token()
        self.ended: str | None = None
        """Why nobody may use the wrapper any more, its owner included; None while all is well."""
        self.shares = 0
        self.threadsafety = threadsafety
        self.allow_blocking = allow_blocking
        self.lock: threading.RLock | None = None  # there is none until it is shared
        self.turns: threading.RLock | None = None  # the same, where every call into the driver has to hold it

    def alone(self, step: str) -> AbstractContextManager[object]:
        """Check, then keep the other threads of a shared wrapper out for the length of the block."""
        self.check(step)
        return _UNSHARED if self.lock is None else _Alone(self, self.lock, step)

    def check(self, step: str) -> None:
        """Raise unless the caller owns the wrapper, or it is shared; and unless blocking is all right here."""
        caller = self._caller(step)
        if caller is not self.token and not self.shares:
            raise self._foreign(step, caller)

    def check_owner(self, step: str) -> None:
        """As `check`, but sharing does not help."""
        self._check_token(step, self._caller(step))

    def _check_token(self, step: str, caller: Token) -> None:
        if caller is not self.token:
            raise self._foreign(step, caller)

    def _caller(self, step: str) -> Token:
        if self.ended is not None:
            raise ScopeError(
                f"{step} on {self.alias!r} refused: {self.ended}; look the connection up anew where it is used"
            )
        if not self.allow_blocking and not blocking_allowed():
            raise BlockingCallError(
                f"{step} on {self.alias!r} would block the running event loop; call it through "
                "asyncio.to_thread(...), or permit it with backend_sdk.allow_blocking()"
            )
        return current_token()

    def _foreign(self, step: str, caller: Token) -> ThreadSharingError:
        owner = self.token
        unit = "task" if is_task(caller) or is_task(owner) else "thread"
        return ThreadSharingError(
            f"{step} on {self.alias!r} refused: it was made by {owner.label} and is used by {caller.label}. "
            f"A connection belongs to the {unit} that made it. Look it up in the {unit} that uses it (a default "
            "argument, a global or a closure keeps the maker's), or share it on purpose: with wrapper.shared(): ..."
        )

    # Sharing is the owner's alone to give: a borrower could else keep it for ever, or give it while the owner
    # is inside the driver. It blocks nothing, so a task may share what `asyncio.to_thread` is to use.

    def share(self) -> None:
        self._check_token("inc_thread_sharing", current_token())
        if self.lock is None:
            self.renew_lock()
            _with_locks.add(self)
        self.shares += 1

    def unshare(self) -> None:
        self._check_token("dec_thread_sharing", current_token())
        if self.shares < 1:
            raise ThreadSharingError(f"dec_thread_sharing on {self.alias!r}: it is not shared (any more)")
        with self.turns or _UNSHARED:  # a borrower may be inside the driver, and the owner takes no turns afterwards
            self.shares -= 1

    def renew_lock(self) -> None:
        self.lock = threading.RLock()
        self.turns = self.lock if self.threadsafety < 2 else None


_UNSHARED = nullcontext()

_with_locks: WeakSet[Ownership] = WeakSet()


def _renew_locks() -> None:
    for ownership in list(_with_locks):  # a thread that is not in the forked child may hold one for ever
        ownership.renew_lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew_locks)


class _Alone:
    """Waits for the lock, then checks again: sharing may have ended meanwhile."""

    __slots__ = ("_lock", "_ownership", "_step")

    def __init__(self, ownership: Ownership, lock: threading.RLock, step: str) -> None:
        self._ownership = ownership
        self._lock = lock
        self._step = step

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._ownership.check(self._step)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


class SessionView(Protocol):
    """What a guard asks of the backend when something went wrong."""

    def is_disconnect(self, error: BaseException, /) -> bool: ...

    def lost_transaction(self, connection: Any, /) -> bool: ...


class Guard:
    """One session's pass: what a cursor asks before it acts, and whom it tells of an error.

    ``fast()`` says whether the caller is the owner's thread and the session open, healthy, unshared and unhooked,
    in one call of C; otherwise every call takes the slow way through `run`.
    ``connection`` is the driver's, None once the session is over; closing it is the handle's business.
    """

    __slots__ = (
        "connection", "cursor_class", "errors", "fast", "hooks", "kept", "lifetime", "lost", "ownership", "session",
        "transaction",
    )  # fmt: skip

    def __init__(
        self,
        ownership: Ownership,
        session: SessionView,
        connection: object,
        errors: DriverErrors,
        transaction: Transaction,
        lifetime: Lifetime,
        hooks: tuple[ExecuteHook, ...],
    ) -> None:
        self.ownership = ownership
        self.session = session
        self.connection: object | None = connection
        self.errors = errors
        self.transaction = transaction
        self.lifetime = lifetime
        self.hooks = hooks
        self.fast = NOBODY.here
        self.lost = False  # the driver said that the session is gone
        self.kept: object = None
        """The handle, where the scope ended during a call: the cursor that runs it closes it by being dropped."""
        self.cursor_class: type | None = None  # the last class seen to carry guards by itself

    @property
    def error_classes(self) -> tuple[type[BaseException], ...]:
        """What `call` raises for a database that failed, as opposed to a mistake in the program."""
        return (Error, Warning)

    @property
    def suspect(self) -> bool:
        """Whether the session has to be looked at before its next use, outside of any block."""
        # Without autocommit a lost session stays: replacing it unasked would cut a transaction in two.
        return self.lifetime.check_due or (self.lost and self.transaction.autocommit)

    def refresh(self) -> None:
        """Recompute ``fast``. To be called whenever anything it depends on has changed."""
        transaction = self.transaction
        ready = (
            self.connection is not None
            and self.ownership.ended is None
            and not self.ownership.shares
            and not self.hooks
            and transaction.broken is None
            and not transaction.must_rollback
            and not self.suspect
        )
        self.fast = self.ownership.token.here if ready else NOBODY.here
        if self.ownership.ended is not None:  # meanwhile, by the thread that ended the scope
            self.fast = NOBODY.here

    def revoke(self, reason: str) -> None:
        """The session is over for every cursor made in it, for good."""
        self.fast = NOBODY.here
        self.connection = None
        self.transaction.break_off(reason)

    def give_up(self) -> None:
        """Nobody knows any more what is open in the session; it must not be used again."""
        self.lost = True
        self.refresh()

    def check(self, step: str) -> None:
        """Raise unless the caller may act in this session now."""
        if self.kept is not None and current_token() is self.ownership.token:
            self.kept = None  # the call that was running has returned: this closes the connection
        self.ownership.check(step)
        if self.connection is None:
            raise ConnectionClosedError(
                f"{step} on {self.ownership.alias!r}: the connection of this cursor was closed; make a new cursor"
            )

    def check_statement(self, step: str) -> None:
        """As `check`, and the transaction must not be broken."""
        self.check(step)
        self.transaction.check(step)

    def run(self, step: str, call: Callable[..., R], /, *args: Any, **options: Any) -> R:
        """The slow way: check, take a turn where threads share a driver that needs it, call."""
        self.check(step)
        turns = self.ownership.turns
        if turns is None:
            return call(*args, **options)
        with turns:
            self.check(step)  # sharing may have ended while this thread waited
            return call(*args, **options)

    def in_turn(self, call: Callable[..., R], /, *args: Any) -> R:
        """Call without a check, in turn: for what the SDK itself asks the driver."""
        turns = self.ownership.turns
        if turns is None:
            return call(*args)
        with turns:
            return call(*args)

    def call(self, step: str, call: Callable[..., R], /, *args: Any, **options: Any) -> R:
        """As `run`; the driver's errors become ours."""
        try:
            return self.run(step, call, *args, **options)
        except self.errors.caught as error:
            raise self.failure(error, step) from error

    def execute(self, step: str, call: Callable[..., Any], cursor: object, sql: Any, params: Any, options: Any) -> Any:
        """The slow way of execute and executemany: as `run`, through the hooks."""
        self.check_statement(step)
        many = step == "executemany"

        def innermost(sql: Any, params: Any, many: bool, context: ExecuteContext) -> Any:
            # Translated inside the hooks: one that swallows the error must not hide what it says of the session.
            return self.call(step, call, *given(sql, params), **options)

        chain: Callable[..., Any] = innermost
        for hook in reversed(self.hooks):
            chain = _link(hook, chain)
        return chain(sql, params, many, ExecuteContext(self.ownership.alias, cursor))

    def failure(self, error: BaseException, step: str) -> Error | Warning:
        """Ours for the driver's *error*, after noting what it says about the session."""
        self.lifetime.failed = True
        ours = self.errors.translate(error)
        ours.step = step
        ours.alias = self.ownership.alias
        if self.session.is_disconnect(error):
            self.give_up()
        if self.transaction.blocks:
            self.compare(step)
        elif self.transaction.has_hooks and self._has_ended():
            self.transaction.drop_hooks()  # without autocommit they waited for the commit of what is gone
        return ours

    def compare(self, step: str) -> None:
        """Break the block off if the database has ended its transaction behind our back."""
        if self.connection is None:
            return
        if self.lost:
            self.transaction.break_off(f"the connection was lost during {step}")
        elif self._has_ended():
            self.transaction.break_off(f"the database ended the block's transaction by itself during {step}")
        self.refresh()

    def _has_ended(self) -> bool:
        """Whether the transaction is gone that was open in this session."""
        connection = self.connection  # once: another thread that shares it may close it meanwhile
        return self.lost or connection is None or self.in_turn(self.session.lost_transaction, connection)


def given(sql: object, params: object) -> tuple[object, ...]:
    """The arguments that were given: drivers tell ``None`` from nothing at all."""
    if sql is None:
        return ()
    return (sql,) if params is None else (sql, params)


def _link(hook: ExecuteHook, execute: Callable[..., Any]) -> Callable[..., Any]:
    def linked(sql: Any, params: Any, many: bool, context: ExecuteContext) -> Any:
        return hook(execute, sql, params, many, context)

    return linked
