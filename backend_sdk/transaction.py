"""The state of one session's transactions: blocks, why they are broken, what runs on commit.

State only: nothing here talks to a database, holds an exception (its traceback would keep frames alive)
or knows a wrapper. One thread at a time uses it, the owner's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .errors import TransactionManagementError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Block", "CommitHook", "Transaction"]


@dataclass(slots=True)
class Block:
    """One ``atomic()`` that is open. ``savepoint``: its name, or None where it has none."""

    savepoint: str | None
    durable: bool
    begins: bool  # whether this block began the transaction, and so commits it


class CommitHook(NamedTuple):
    """Runs once the outermost block has committed, unless a savepoint in ``under`` was rolled back."""

    under: frozenset[str]
    function: Callable[[], object]
    robust: bool


class Transaction:
    """The savepoint stack, the broken flag and the commit hooks of one session."""

    __slots__ = ("_hooks", "_manual", "_names", "autocommit", "blocks", "broken", "must_rollback")

    def __init__(self, *, autocommit: bool) -> None:
        self.autocommit = autocommit
        self.blocks: list[Block] = []
        self.broken: str | None = None
        """Why nothing may run any more until the outermost block ends; None when all is well."""
        self.must_rollback = False
        """An inner block without a savepoint failed: the next enclosing savepoint has to be rolled back."""
        self._hooks: list[CommitHook] = []
        self._manual: set[str] = set()  # savepoints set by name; one that a block's end took along does no harm
        self._names = 0

    @property
    def in_block(self) -> bool:
        return bool(self.blocks)

    @property
    def has_hooks(self) -> bool:
        """Whether anything waits for the commit."""
        return bool(self._hooks)

    def new_savepoint_name(self) -> str:
        """Unique in this session, and a plain identifier in every SQL dialect."""
        self._names += 1
        return f"s{self._names}"

    def check(self, step: str) -> None:
        """Raise `TransactionManagementError` if the block is broken or has to be rolled back first."""
        if self.broken is not None:
            raise TransactionManagementError(f"{step} refused: {self.broken}; leave the outermost atomic() block first")
        if self.must_rollback:
            raise TransactionManagementError(
                f"{step} refused: an inner atomic(savepoint=False) block failed; leave the block that encloses it first"
            )

    def check_can_nest(self, *, durable: bool) -> None:
        """Raise `TransactionManagementError` where a durable block's end would not be a commit."""
        if durable and self.blocks:
            raise TransactionManagementError(
                "atomic(durable=True) must be the outermost block: its commit would else wait for the enclosing one"
            )
        if durable and not self.autocommit:
            raise TransactionManagementError(
                "atomic(durable=True) needs autocommit: without it the block's work waits for commit()"
            )

    def check_outside(self, step: str) -> None:
        """Raise `TransactionManagementError` if any block is open."""
        if self.blocks:
            raise TransactionManagementError(f"{step} is not allowed inside atomic(): the block decides on its own end")

    def break_off(self, reason: str) -> None:
        """Refuse everything until the outermost block has ended. The first reason stays."""
        if self.blocks and self.broken is None:
            self.broken = reason

    def savepoints(self) -> frozenset[str]:
        """The names of the savepoints open now."""
        return frozenset(self._manual).union(block.savepoint for block in self.blocks if block.savepoint)

    def set_savepoint(self, name: str) -> None:
        """Note a savepoint that is no block's."""
        self._manual.add(name)

    def forget_savepoint(self, name: str) -> None:
        self._manual.discard(name)

    def add_hook(self, function: Callable[[], object], *, robust: bool) -> None:
        self._hooks.append(CommitHook(self.savepoints(), function, robust))

    def drop_hooks(self, savepoint: str | None = None) -> None:
        """Forget the hooks registered under *savepoint*, or all of them: the transaction is rolled back."""
        if savepoint is None:
            self.take_hooks()
        self._hooks = [hook for hook in self._hooks if savepoint not in hook.under]

    def take_hooks(self) -> list[CommitHook]:
        """The hooks to run now that the transaction is over, each handed out once."""
        hooks, self._hooks = self._hooks, []
        self._manual.clear()
        return hooks

    def end(self, *, forget_hooks: bool) -> None:
        """The outermost block has ended. Without autocommit its hooks wait for the commit."""
        if forget_hooks or self.broken is not None:
            self.drop_hooks()
        self.blocks.clear()
        self.broken = None
        self.must_rollback = False
