"""One alias, one backend, at most one driver connection: the conductor over the leaves.

Every public operation reads: check the owner, open if needed, delegate. Source of the ownership rules:
Django ticket 17258; of the order of opening: ticket 19274.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from typing_extensions import override

from . import local
from .atomic import Atomic, begin_block, begin_if_idle, end_block, run_hooks
from .backend import BaseBackend, normalize
from .cursor import guarded
from .errors import ConnectionClosedError, DriverErrors, Error, TransactionManagementError, Warning, scrub
from .guard import ExecuteHook, Guard, Ownership
from .handle import Handle
from .lifetime import Lifetime
from .protocols import Backend, DBAPICursor, TransactionStatus
from .querylog import QueryLog
from .transaction import CommitHook, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from .lifetime import Clock
    from .settings import ConnectionSettings

__all__ = ["DatabaseWrapper"]

ParamsT = TypeVar("ParamsT")
ConnT = TypeVar("ConnT")
CursorT = TypeVar("CursorT", bound=DBAPICursor)


class DatabaseWrapper(Generic[ConnT, CursorT]):
    """Conducts one connection of *backend* for the thread (or task) that makes it.

    Opening is lazy and all or nothing. Every operation first checks that the caller owns the wrapper, or
    that it is shared, and raises `ThreadSharingError` before anything is done; under a running event loop
    `BlockingCallError`. A driver's error arrives as one of `backend_sdk.errors`, the original as its
    ``__cause__``. Dropping the last reference closes the session at once, without the garbage collector.

    What is taken out raw (``connection``, a driver cursor's own ``connection``) is out of its hands.
    """

    __slots__ = ("__weakref__", "_backend", "_clock", "_guard", "_handle", "_hooks", "_identity", "_ownership")

    def __init__(
        self, backend: Backend[ParamsT, ConnT, CursorT], alias: str = "default", *, clock: Clock = time.monotonic
    ) -> None:
        self._backend: BaseBackend[Any, Any, ConnT, CursorT] = normalize(backend)
        self._ownership = Ownership(
            alias, threadsafety=self._backend.threadsafety, allow_blocking=self._backend.settings.allow_blocking
        )
        self._clock = clock
        self._guard: Guard | None = None
        self._handle: Handle[ConnT] | None = None
        self._hooks: tuple[ExecuteHook, ...] = ()
        self._identity: str | None = None

    # What it is

    @property
    def alias(self) -> str:
        return self._ownership.alias

    @property
    def backend(self) -> BaseBackend[Any, Any, ConnT, CursorT]:
        """The backend, with the defaults of its optional abilities filled in."""
        return self._backend

    @property
    def settings(self) -> ConnectionSettings:
        return self._backend.settings  # type: ignore[no-any-return]  # the view is generic over settings, the wrapper is not

    @property
    def vendor(self) -> str:
        return self._backend.vendor

    @property
    def fingerprint(self) -> str:
        """Which session this is: that of the settings, or this wrapper's own where the database is private."""
        if self._identity is None:
            private = f"-{secrets.token_hex(8)}" if self.settings.is_private else ""
            self._identity = self.settings.fingerprint + private
        return self._identity

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now. Any thread may ask."""
        return self._guard is not None and self._guard.connection is not None

    @property
    def in_atomic_block(self) -> bool:
        return self._guard is not None and bool(self._guard.transaction.blocks)

    @property
    def autocommit(self) -> bool:
        return self._guard.transaction.autocommit if self._guard is not None else self.settings.autocommit

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<DatabaseWrapper {self.alias!r} vendor={self.vendor!r} {state}>"

    # Opening and cursors

    def cursor(self) -> CursorT:
        """A new cursor in this session; opens the connection if there is none. Also a context manager."""
        guard = self._guard
        if guard is None or not guard.fast() or local.running_loop():
            guard = self._session("cursor")
            if not guard.fast() or local.running_loop():  # else it was just opened, and nothing speaks against it
                return guarded(guard.call("cursor", self._backend._cursor, guard.connection), guard)
        try:
            cursor = self._backend._cursor(guard.connection)  # type: ignore[arg-type]  # open, as just checked
        except guard.errors.caught as error:
            raise guard.failure(error, "cursor") from error
        if cursor.__class__ is guard.cursor_class:
            cursor._guard = guard  # type: ignore[attr-defined]  # the class is one that carries guards
            return cursor
        return guarded(cursor, guard)

    def named_cursor(self, name: str) -> CursorT:
        """A server-side cursor. Raises `NotSupportedError` where the backend has none."""
        guard = self._session("named_cursor")
        return guarded(guard.call("named_cursor", self._backend.named_cursor, guard.connection, name), guard)

    def connect(self) -> None:
        """Open the connection if there is none."""
        self._session("connect")

    @property
    def connection(self) -> ConnT:
        """The driver's own connection, opened if need be. What is done with it is not checked."""
        return cast("ConnT", self._session("connection").connection)

    def _session(self, step: str) -> Guard:
        """The open session's guard, after the owner check; opens, or looks at the connection when that is due."""
        with self._ownership.alone(step):
            guard = self._guard
            if guard is not None and guard.connection is not None:
                if guard.transaction.blocks or not guard.suspect:
                    return guard
                if self.is_usable():
                    guard.lifetime.found_usable()
                    guard.refresh()
                    return guard
                self._discard()
            elif guard is not None:
                guard.transaction.check(step)  # closed inside a block: nothing may run outside its transaction
            return self._open()

    def _open(self) -> Guard:
        """Params, open, configure, autocommit, init: all of them, or nothing is kept."""
        backend, settings = self._backend, self.settings
        transaction = Transaction(autocommit=settings.autocommit)
        lifetime = Lifetime(settings.conn_max_age, health_checks=settings.conn_health_checks, clock=self._clock)
        try:
            connection = backend.get_new_connection(backend.get_connection_params())
        except Exception as error:
            self._raise_translated(error, "connect")
        # Nothing may come between the connection and its handle, which closes it whatever happens next.
        guard = Guard(self._ownership, backend, connection, _NO_ERRORS, transaction, lifetime, self._hooks)
        handle = Handle(connection, backend, guard)
        step = "connect"
        try:
            guard.errors = backend.errors_for(connection)
            step = "configure_connection"
            backend.configure_connection(connection)
            step = "set_autocommit"
            backend.set_autocommit(connection, settings.autocommit)
            step = "init_connection_state"
            backend.init_connection_state(connection)
        except BaseException as error:
            _close_quietly(handle)
            self._raise_translated(error, step)
        self._handle, self._guard = handle, guard
        guard.refresh()
        if self._ownership.ended is not None:  # by the scope's end in another thread, while this one was opening
            self._discard()
            self._ownership.check("connect")
        return guard

    def _raise_translated(self, error: BaseException, step: str) -> NoReturn:
        """Raise ours for *error* without a secret in it, or *error* itself where it is no driver's."""
        scrub(error, self.settings.secret_texts())
        errors = self._backend.errors_for(error)
        try:
            if isinstance(error, Error | Warning) or not isinstance(error, errors.caught):
                raise error
            raise _placed(errors.translate(error), step, self.alias) from error
        finally:
            del error  # or this frame, which the error's traceback holds, would hold the error

    # Closing

    def close(self) -> None:
        """Close the connection; nothing if there is none. Inside ``atomic()`` the block is broken by it.

        Raises what the driver raises; the connection is gone all the same.
        """
        if self._ownership.ended is not None:  # its scope has closed it, or left that to the call that is running
            return
        with self._ownership.alone("close"):
            guard, handle = self._take()
            if guard is None or handle is None:
                return
            try:
                handle.close()
            except guard.errors.caught as error:
                raise guard.failure(error, "close") from error

    def _take(self) -> tuple[Guard | None, Handle[ConnT] | None]:
        """Part with the session; inside a block with all but its guard, which says that the block is broken."""
        guard, handle = self._guard, self._handle
        self._handle = None
        if guard is not None and not guard.transaction.blocks:
            self._guard = None
        return guard, handle

    def _discard(self) -> None:
        """Close a connection that is not worth an error of its own."""
        _, handle = self._take()
        if handle is not None:
            _close_quietly(handle)

    def is_usable(self) -> bool:
        """Whether the connection is open and works; asks the server where the backend can ping."""
        self._ownership.check("is_usable")
        guard = self._guard
        if guard is None or guard.connection is None or guard.lost:
            return False
        try:
            if guard.run("is_broken", self._backend.is_broken, guard.connection):
                return False
            guard.run("ping", self._backend.ping, guard.connection)
        except guard.errors.caught:
            return False
        except ConnectionClosedError:  # by another thread that shares it, just now
            return False
        return True

    def close_if_unusable_or_obsolete(self) -> None:
        """End one use (a request, a job): close what is broken, too old or left in another state than it was opened.

        Inside ``atomic()`` nothing is done. With health checks, the next use starts with a look.
        """
        with self._ownership.alone("close_if_unusable_or_obsolete"):
            guard = self._guard
            if guard is None or guard.transaction.blocks:
                return
            lifetime = guard.lifetime
            if guard.transaction.autocommit != self.settings.autocommit:
                self.close()
            elif lifetime.expired or ((lifetime.failed or guard.lost) and not self.is_usable()):
                self._discard()
            else:
                lifetime.failed = False
                lifetime.use_ended()
                guard.refresh()

    @contextmanager
    def temporary_connection(self) -> Iterator[CursorT]:
        """A cursor for the block; a connection that had to be opened for it is closed at its end."""
        was_open = self.is_open
        self.connect()
        try:
            with cast("AbstractContextManager[CursorT]", self.cursor()) as cursor:
                yield cursor
        finally:
            if not was_open:
                self.close()

    # Transactions

    def atomic(self, *, savepoint: bool = True, durable: bool = False) -> Atomic:
        """A block whose work is committed as a whole or not at all; nested ones use savepoints.

        Usable as decorator too. Only the owner opens one. ``durable=True`` must be the outermost.
        """
        return Atomic(self, savepoint=savepoint, durable=durable)

    def begin_atomic(self, *, savepoint: bool, durable: bool) -> None:
        """For `Atomic`: open a block."""
        self._ownership.check_owner("atomic")
        with self._ownership.alone("atomic"):  # a borrower's close comes before the block is begun, or finds it noted
            begin_block(self._backend, self._session("atomic"), savepoint=savepoint, durable=durable)

    def end_atomic(self, *, failed: bool) -> None:
        """For `Atomic`: close the innermost block, then run the hooks that its commit has released."""
        self._ownership.check_owner("atomic")
        guard = cast("Guard", self._guard)
        with self._ownership.alone("atomic"):
            try:
                hooks = end_block(self._backend, guard, failed=failed)
            finally:
                if guard.lost or guard.connection is None:
                    self._discard()
        run_hooks(hooks)

    def commit(self) -> None:
        """Commit, without autocommit. Raises `TransactionManagementError` inside ``atomic()``."""
        guard = self._between_blocks("commit")
        if guard is not None:
            guard.call("commit", self._backend.commit, guard.connection)
            run_hooks(guard.transaction.take_hooks())

    def rollback(self) -> None:
        """Roll back, without autocommit. Raises `TransactionManagementError` inside ``atomic()``."""
        guard = self._between_blocks("rollback")
        if guard is not None:
            guard.transaction.drop_hooks()
            guard.call("rollback", self._backend.rollback, guard.connection)

    def set_autocommit(self, autocommit: bool) -> None:
        """Switch the session's autocommit; not inside ``atomic()`` or another open transaction."""
        guard = self._outside_transaction("set_autocommit")
        guard.call("set_autocommit", self._backend.set_autocommit, guard.connection, autocommit)
        guard.transaction.autocommit = autocommit
        guard.refresh()

    def savepoint(self) -> str:
        """Set a savepoint in the present transaction and return its name."""
        guard = self._in_transaction("savepoint")
        begin_if_idle(self._backend, guard)
        name = guard.transaction.new_savepoint_name()
        guard.call("savepoint", self._backend.savepoint, guard.connection, name)
        guard.transaction.set_savepoint(name)
        return name

    def savepoint_commit(self, name: str) -> None:
        """Release the savepoint *name*, keeping what was done since."""
        guard = self._in_transaction("savepoint_commit")
        guard.call("savepoint_commit", self._backend.release_savepoint, guard.connection, name)
        guard.transaction.forget_savepoint(name)

    def savepoint_rollback(self, name: str) -> None:
        """Undo what was done since the savepoint *name*."""
        guard = self._in_transaction("savepoint_rollback")
        guard.call("savepoint_rollback", self._backend.rollback_to_savepoint, guard.connection, name)
        guard.transaction.drop_hooks(name)
        guard.transaction.forget_savepoint(name)

    def on_commit(self, function: Callable[[], object], *, robust: bool = False) -> None:
        """Call *function* once the outermost block has committed, or at once outside of any.

        A *robust* function's error is logged and the next ones still run.
        """
        self._ownership.check_owner("on_commit")
        guard = self._guard
        if guard is not None and guard.transaction.blocks:
            guard.transaction.check("on_commit")
            guard.transaction.add_hook(function, robust=robust)
        elif self.autocommit:
            run_hooks([CommitHook(frozenset(), function, robust)])
        else:
            raise TransactionManagementError("on_commit without autocommit needs an atomic() block around it")

    def _owned_session(self, step: str) -> Guard:
        self._ownership.check_owner(step)
        return self._session(step)

    def _between_blocks(self, step: str) -> Guard | None:
        """The open session's guard outside of any block, or None where nothing is open."""
        self._ownership.check(step)
        guard = self._guard
        if guard is not None:
            guard.transaction.check_outside(step)
        return guard if self.is_open else None

    def _outside_transaction(self, step: str) -> Guard:
        guard = self._owned_session(step)
        guard.transaction.check_outside(step)
        status = guard.call(step, self._backend.transaction_status, guard.connection)
        if status in {TransactionStatus.IN_TRANSACTION, TransactionStatus.FAILED}:
            raise TransactionManagementError(f"{step} refused: a transaction is open; commit or roll back first")
        return guard

    def _in_transaction(self, step: str) -> Guard:
        guard = self._owned_session(step)
        guard.transaction.check(step)
        if not guard.transaction.blocks and guard.transaction.autocommit:
            raise TransactionManagementError(
                f"{step} needs a transaction: an atomic() block, or autocommit switched off"
            )
        return guard

    # Sharing, hooks, copies, and what only some databases can

    def inc_thread_sharing(self) -> None:
        """Let other threads use this wrapper too, until the matching `dec_thread_sharing`. The owner's to give."""
        self._ownership.share()
        self._refresh()

    def dec_thread_sharing(self) -> None:
        """Take one `inc_thread_sharing` back; waits for a call under way where the driver's calls take turns.

        Raises `ThreadSharingError` if there is none.
        """
        self._ownership.unshare()
        self._refresh()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Share with other threads for the length of the block."""
        self.inc_thread_sharing()
        try:
            yield
        finally:
            self.dec_thread_sharing()

    @contextmanager
    def execute_hook(self, hook: ExecuteHook) -> Iterator[None]:
        """Put *hook* around every execution in the block; the one added last is the outermost."""
        self._ownership.check_owner("execute_hook")
        self._set_hooks((hook, *self._hooks))
        try:
            yield
        finally:
            hooks = list(self._hooks)
            hooks.remove(hook)
            self._set_hooks(tuple(hooks))

    @contextmanager
    def query_log(self, limit: int = 1000) -> Iterator[QueryLog]:
        """Log the last *limit* statements that run in the block."""
        log = QueryLog(limit)
        with self.execute_hook(log):
            yield log

    def _set_hooks(self, hooks: tuple[ExecuteHook, ...]) -> None:
        self._hooks = hooks
        if self._guard is not None:
            self._guard.hooks = hooks
        self._refresh()

    def _refresh(self) -> None:
        if self._guard is not None:
            self._guard.refresh()

    def set_read_only(self, read_only: bool) -> None:
        """Make the session refuse writes, or take them again; not inside ``atomic()``."""
        guard = self._outside_transaction("set_read_only")
        guard.call("set_read_only", self._backend.set_read_only, guard.connection, read_only)

    def cancel(self) -> None:
        """Interrupt the statement that the owner is running. The one operation meant for other threads."""
        guard = self._guard
        connection = None if guard is None else guard.connection
        if connection is not None:
            self._backend.cancel(cast("ConnT", connection))

    @property
    def server_version(self) -> tuple[int, ...]:
        guard = self._session("server_version")
        return guard.call("server_version", self._backend.server_version, guard.connection)

    def copy(self, alias: str | None = None) -> DatabaseWrapper[ConnT, CursorT]:
        """An independent wrapper of the same backend, with no connection yet, owned by the caller."""
        return DatabaseWrapper(self._backend, alias or self.alias, clock=self._clock)

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"DatabaseWrapper {self.alias!r} cannot be pickled or copied: a connection belongs to its process and "
            "thread. Pass the alias, or use wrapper.copy()"
        )


_NO_ERRORS = DriverErrors(None)


def _placed(error: Error | Warning, step: str, alias: str) -> Error | Warning:
    error.step, error.alias = step, alias
    return error


def _close_quietly(handle: Handle[Any]) -> None:
    try:
        handle.close()
    except Exception:  # the error that matters is the one that led here
        return


def transaction_status(wrapper: DatabaseWrapper[Any, Any]) -> TransactionStatus:
    """The driver's own view of *wrapper*'s session; IDLE where none is open."""
    guard = wrapper._guard
    if guard is None or guard.connection is None:
        return TransactionStatus.IDLE
    return wrapper.backend.transaction_status(guard.connection)
