"""Nested transactions over one session: what happens when a block begins and when it ends.

The functions here conduct a backend and a guard; they know no wrapper, so the wrapper can offer
``atomic()`` and nothing refers back to it.
"""

from __future__ import annotations

import inspect
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import override

from .errors import TransactionManagementError
from .protocols import TransactionStatus
from .transaction import Block, CommitHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from .backend import BaseBackend
    from .guard import Guard

    AnyBackend = BaseBackend[Any, Any, Any, Any]

__all__ = ["Atomic", "begin_block", "begin_if_idle", "end_block", "run_hooks"]


class Host(Protocol):
    """What `Atomic` needs of a wrapper."""

    def begin_atomic(self, *, savepoint: bool, durable: bool) -> None: ...

    def end_atomic(self, *, failed: bool) -> None: ...


class Atomic(ContextDecorator):
    """``with wrapper.atomic():`` or ``@wrapper.atomic()``: all of it is committed, or none.

    It keeps no state of its own, so one object may be entered again, and nested.
    """

    __slots__ = ("_durable", "_host", "_savepoint")

    def __init__(self, host: Host, *, savepoint: bool, durable: bool) -> None:
        self._host = host
        self._savepoint = savepoint
        self._durable = durable

    @override
    def __call__(self, function: Any) -> Any:
        for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if kind(function):
                name = getattr(function, "__qualname__", repr(function))
                raise TypeError(
                    f"@atomic() on {name}: its body runs after the call returned, outside the block; "
                    "write `with wrapper.atomic():` inside it"
                )
        return super().__call__(function)

    def __enter__(self) -> None:
        self._host.begin_atomic(savepoint=self._savepoint, durable=self._durable)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.end_atomic(failed=kind is not None)


def begin_block(backend: AnyBackend, guard: Guard, *, savepoint: bool, durable: bool) -> None:
    """Open a block: a transaction if it is the outermost, else a savepoint if *savepoint*."""
    transaction = guard.transaction
    transaction.check_can_nest(durable=durable)
    if transaction.blocks and not transaction.broken:
        guard.compare("atomic()")  # a savepoint outside of a transaction would begin one of its own
    transaction.check("atomic()")
    begins = transaction.autocommit and not transaction.blocks
    if begins:
        _begin(backend, guard)
    else:
        begin_if_idle(backend, guard)
    name = None
    if savepoint and not begins:
        name = transaction.new_savepoint_name()
        guard.call("savepoint", backend.savepoint, guard.connection, name)
    transaction.blocks.append(Block(name, durable, begins))


def _begin(backend: AnyBackend, guard: Guard) -> None:
    try:
        guard.call("begin", backend.begin, guard.connection)
    except Exception:
        raise  # the driver says that it has not begun
    except BaseException:  # an interrupt: nobody knows
        _roll_back(backend, guard)
        raise


def begin_if_idle(backend: AnyBackend, guard: Guard) -> None:
    """Without autocommit, where the first statement would begin: a savepoint must not be that, or its end commits."""
    if not guard.transaction.blocks:
        status = guard.call("transaction_status", backend.transaction_status, guard.connection)
        if status is TransactionStatus.IDLE:
            _begin(backend, guard)


def end_block(backend: AnyBackend, guard: Guard, *, failed: bool) -> list[CommitHook]:
    """Close the innermost block; returns the hooks to run now that its work is durable.

    Raises `TransactionManagementError` where a block that did not fail could not keep its work.
    """
    transaction = guard.transaction
    block = transaction.blocks[-1]
    kept = False
    try:
        lost = _why_lost(backend, guard)
        if transaction.broken is not None:
            _abandon(backend, guard)
        elif failed or lost is not None:
            _undo(backend, guard, block)
        else:
            _keep(backend, guard, block)
            kept = True
    finally:
        transaction.blocks.pop()
        hooks = _settle(guard, block, kept=kept)
    if lost is not None and not failed:
        raise TransactionManagementError(f"atomic() on {guard.ownership.alias!r} kept nothing of its work: {lost}")
    return hooks


def _why_lost(backend: AnyBackend, guard: Guard) -> str | None:
    """Why the block's work cannot be kept although its body did not fail, or None."""
    transaction = guard.transaction
    try:
        if transaction.broken is None:
            guard.compare("the end of atomic()")
        if transaction.broken is not None:
            return transaction.broken
        if transaction.must_rollback:
            return "an inner atomic(savepoint=False) block failed and its error was swallowed"
        if guard.in_turn(backend.transaction_status, guard.connection) is TransactionStatus.FAILED:
            return "a statement failed, its error was swallowed, and the database takes only a rollback since"
    except BaseException:  # the driver cannot even say: nothing may run outside of what was a transaction
        guard.give_up()
        raise
    return None


def _settle(guard: Guard, block: Block, *, kept: bool) -> list[CommitHook]:
    """After the block is popped: reset the state if it was the outermost, and hand out the hooks."""
    transaction = guard.transaction
    hooks: list[CommitHook] = []
    if not transaction.blocks:
        if block.begins and kept and transaction.broken is None:
            hooks = transaction.take_hooks()
        transaction.end(forget_hooks=block.begins)
    guard.refresh()
    return hooks


def _keep(backend: AnyBackend, guard: Guard, block: Block) -> None:
    if block.savepoint is not None:
        try:
            guard.call("release_savepoint", backend.release_savepoint, guard.connection, block.savepoint)
        except BaseException:
            _undo(backend, guard, block)
            raise
    elif block.begins:
        try:
            guard.call("commit", backend.commit, guard.connection)
        except BaseException:  # a deferred constraint, as a rule: the transaction is still open
            _undo(backend, guard, block)
            raise


def _undo(backend: AnyBackend, guard: Guard, block: Block) -> None:
    """Roll the block back. A failure here never hides the error that led to it: it breaks the session instead."""
    transaction = guard.transaction
    if block.savepoint is not None:
        try:
            guard.call("rollback_to_savepoint", backend.rollback_to_savepoint, guard.connection, block.savepoint)
        except guard.error_classes:
            transaction.break_off("rolling back to a savepoint failed")
            _abandon(backend, guard)
        except BaseException:
            guard.give_up()
            raise
        transaction.must_rollback = False
        transaction.drop_hooks(block.savepoint)
    elif block.begins or len(transaction.blocks) == 1:  # without autocommit, no savepoint: nothing less undoes it
        transaction.drop_hooks()
        _roll_back(backend, guard)
    else:
        transaction.must_rollback = True


def _abandon(backend: AnyBackend, guard: Guard) -> None:
    """The transaction is gone; roll back what may be left of it when the outermost block ends."""
    if guard.connection is not None and len(guard.transaction.blocks) == 1:
        _roll_back(backend, guard)


def _roll_back(backend: AnyBackend, guard: Guard) -> None:
    try:
        guard.call("rollback", backend.rollback, guard.connection)
    except guard.error_classes:
        guard.give_up()  # nobody knows what is open there now: the wrapper drops the connection
    except BaseException:
        guard.give_up()
        raise


def run_hooks(hooks: Iterable[CommitHook]) -> None:
    """Run commit hooks in order. A robust one's error is logged; another's ends the run and is raised."""
    for hook in hooks:
        if hook.robust:
            _run_robustly(hook.function)
        else:
            hook.function()


def _run_robustly(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception as error:
        import logging

        name = getattr(function, "__qualname__", repr(type(function)))
        logging.getLogger("backend_sdk").error("commit hook %s raised %s", name, type(error).__name__, exc_info=True)
