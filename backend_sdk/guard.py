"""Who may use a wrapper, and whether the session a cursor was made in is still the wrapper's.

A wrapper has one `Ownership` for life and one `Guard` for each session it opens. Cursors carry the guard,
never the wrapper: a held cursor keeps no session alive, and one guard revoked stops them all at once.

Source: Django ticket 17258 (thread-sharing checks).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .errors import BlockingCallError, ConnectionClosedError, DriverErrors, Error, ThreadSharingError, Warning
from .local import NOBODY, Token, blocking_allowed, current_token, is_task

if TYPE_CHECKING:
    from collections.abc import Callable

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

    *threadsafety* is PEP 249's level of the driver: below 2 the calls of sharing threads take turns.
    """

    __slots__ = ("alias", "allow_blocking", "shares", "threadsafety", "token", "turns")

    def __init__(self, alias: str, *, threadsafety: int, allow_blocking: bool) -> None:
        self.alias = alias
        self.token = current_token()
        self.shares = 0
        self.threadsafety = threadsafety
        self.allow_blocking = allow_blocking
        self.turns: threading.RLock | None = None

    def check(self, step: str) -> None:
        """Raise unless the caller owns the wrapper, or it is shared; and unless blocking is all right here."""
        caller = self._caller(step)
        if caller is not self.token and not self.shares:
            raise self._foreign(step, caller)

    def check_owner(self, step: str) -> None:
        """As `check`, but sharing does not help."""
        caller = self._caller(step)
        if caller is not self.token:
            raise self._foreign(step, caller)

    def _caller(self, step: str) -> Token:
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

    def share(self) -> None:
        if self.threadsafety < 2 and self.turns is None:
            self.turns = threading.RLock()
        self.shares += 1

    def unshare(self) -> None:
        if self.shares < 1:
            raise ThreadSharingError(f"dec_thread_sharing on {self.alias!r}: it is not shared (any more)")
        self.shares -= 1

    def renew_lock(self) -> None:
        """In a forked child: a thread that is not there may hold the lock for ever."""
        if self.turns is not None:
            self.turns = threading.RLock()


class SessionView(Protocol):
    """What a guard asks of the backend when something went wrong."""

    def is_disconnect(self, error: BaseException, /) -> bool: ...

    def lost_transaction(self, connection: Any, /) -> bool: ...


class Guard:
    """One session's pass: what a cursor asks before it acts, and whom it tells of an error.

    ``fast`` is the owner's token while the session is open, healthy, unshared and unhooked, so that the
    hot test is one comparison; otherwise `NOBODY`, and every call takes the slow way through `run`.
    ``connection`` is the driver's, None once the session is over; closing it is the handle's business.
    """

    __slots__ = (
        "connection", "cursor_class", "errors", "fast", "hooks", "lifetime", "lost", "ownership", "session",
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
        self.fast = NOBODY
        self.lost = False  # the driver said that the session is gone
        self.cursor_class: type | None = None  # the last class seen to carry guards by itself

    @property
    def error_classes(self) -> tuple[type[BaseException], ...]:
        """What `call` raises for a database that failed, as opposed to a mistake in the program."""
        return (Error, Warning)

    def refresh(self) -> None:
        """Recompute ``fast``. To be called whenever anything it depends on has changed."""
        transaction = self.transaction
        ready = (
            self.connection is not None
            and not self.ownership.shares
            and not self.hooks
            and transaction.broken is None
            and not transaction.must_rollback
            and not self.lifetime.check_due
        )
        self.fast = self.ownership.token if ready else NOBODY

    def revoke(self, reason: str) -> None:
        """The session is over for every cursor made in it, for good."""
        self.fast = NOBODY
        self.connection = None
        self.transaction.break_off(reason)

    def check(self, step: str) -> None:
        """Raise unless the caller may act in this session now."""
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
            return self.run(step, call, *given(sql, params), **options)

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
            self.lost = True
        if self.transaction.blocks:
            self.compare(step)
        return ours

    def compare(self, step: str) -> None:
        """Break the block off if the database has ended its transaction behind our back."""
        if self.connection is None:
            return
        if self.lost:
            self.transaction.break_off(f"the connection was lost during {step}")
        elif self.session.lost_transaction(self.connection):
            self.transaction.break_off(f"the database ended the block's transaction by itself during {step}")
        self.refresh()


def given(sql: object, params: object) -> tuple[object, ...]:
    """The arguments that were given: drivers tell ``None`` from nothing at all."""
    if sql is None:
        return ()
    return (sql,) if params is None else (sql, params)


def _link(hook: ExecuteHook, execute: Callable[..., Any]) -> Callable[..., Any]:
    def linked(sql: Any, params: Any, many: bool, context: ExecuteContext) -> Any:
        return hook(execute, sql, params, many, context)

    return linked
