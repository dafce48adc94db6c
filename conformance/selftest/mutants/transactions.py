"""Wrong in transactions."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import ABILITIES, DatabaseWrapper, SupportsTransactionalDDL, TransactionStatus

from ..baseline import BaselineBackend, BaselineCursor, BaselineSettings
from . import mutant
from .cursors import WithBypassingCursor


@mutant("TX-001", says="after the block another session sees 0 row(s)")
class NeverCommits(BaselineBackend):
    """commit does nothing."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        pass


@mutant("TX-001", says="after the block another session sees 0 row(s)")
class CommitsLate(BaselineBackend):
    """commit is left to the next use of the connection."""

    _due: ClassVar[set[int]] = set()

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        self._due.add(id(connection))

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        if id(connection) in self._due:
            self._due.discard(id(connection))
            connection.commit()
        return super()._cursor(connection)


@mutant("TX-001", says="after the block another session sees 0 row(s)")
class CommitRollsBack(BaselineBackend):
    """commit rolls back."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()


@mutant("TX-001", says="before the block had ended another session sees 1 row(s)")
class BeginDoesNothing(BaselineBackend):
    """begin does nothing, so each statement commits itself."""

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        pass

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.UNKNOWN


@mutant("TX-001", says="no verdict within")
class CommitHangs(BaselineBackend):
    """commit never returns."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        threading.Event().wait()


@mutant("TX-001", says="SystemExit was raised")
class BeginExits(BaselineBackend):
    """begin calls sys.exit()."""

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        sys.exit(1)


@mutant("TX-001", says="ended without a verdict")
class CommitEndsTheProcess(BaselineBackend):
    """commit calls os._exit(0)."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        os._exit(0)


@mutant("TX-001", says="killed by SIGSEGV")
class CommitSegfaults(BaselineBackend):
    """commit reads address 0, as a broken extension module would."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        ctypes.string_at(0)


@mutant("TX-001", says="ended without a verdict")
class ClosesForeignDescriptors(BaselineBackend):
    """close_connection closes descriptors that are not its own."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        connection.close()
        os.closerange(3, 256)


@mutant("TX-002", says="after a block that raised another session sees 1 row(s)")
class RollbackCommits(BaselineBackend):
    """rollback commits."""

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()


@mutant("TX-002", says="its own session still sees 1 row(s)")
class RollbackDoesNothing(BaselineBackend):
    """rollback does nothing, and the next user's commit keeps what should be gone."""

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        pass


@mutant("TX-003", says="after an INSERT outside of any block another session sees 0 row(s)")
class NoAutocommit(BaselineBackend):
    """The connection stays in the driver's implicit transactions, whatever set_autocommit is told."""

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        connection.isolation_level = "DEFERRED"

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            super().begin(connection)


@mutant("TX-004", says="after a block that ended well")
class CommitAndChain(BaselineBackend):
    """commit begins the next transaction at once."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()
        super().begin(connection)

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            super().begin(connection)


@mutant("TX-004", says="after a block that raised and an INSERT behind it")
class RollbackAndChain(BaselineBackend):
    """rollback begins the next transaction at once."""

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()
        super().begin(connection)

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        if not connection.in_transaction:
            super().begin(connection)


@mutant("TX-005", says="there are [1, 2, 3]")
class SavepointRollbackReleases(BaselineBackend):
    """rollback_to_savepoint only releases it."""

    @override
    def rollback_to_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        self.release_savepoint(connection, name)


@mutant("TX-005", says="TransactionManagementError")
class SavepointRollbackUndoesAll(BaselineBackend):
    """rollback_to_savepoint rolls the whole transaction back."""

    @override
    def rollback_to_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        connection.rollback()


@mutant("TX-005", says="there are [3]")
class SavepointRollbackRestarts(BaselineBackend):
    """rollback_to_savepoint rolls the whole transaction back and begins another, so the status shows nothing."""

    @override
    def rollback_to_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        connection.rollback()
        self.begin(connection)


@mutant("TX-006", says="after both blocks another session sees 1 row(s)")
class ReleaseRollsBack(BaselineBackend):
    """release_savepoint undoes what was done since."""

    @override
    def release_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        self.rollback_to_savepoint(connection, name)


@mutant("TX-006", says="with the outer one still open, another session sees 2 row(s)")
class ReleaseCommits(BaselineBackend):
    """release_savepoint commits the transaction and begins another."""

    @override
    def release_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        connection.commit()
        self.begin(connection)


@mutant("TX-007", says="the first of two savepoints another session sees 2 row(s)")
class OneNameForAllSavepoints(BaselineBackend):
    """The savepoint's name is ignored."""

    @override
    def savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        super().savepoint(connection, "sp")

    @override
    def release_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        super().release_savepoint(connection, "sp")

    @override
    def rollback_to_savepoint(self, connection: sqlite3.Connection, name: str, /) -> None:
        super().rollback_to_savepoint(connection, "sp")


@mutant("TX-008", says="a statement ran in the block after an inner one")
class CursorAsksNobody(WithBypassingCursor):
    """Its cursors do not ask whether the block is broken."""


@mutant("TX-009", says="a durable block was opened inside another block")
class AllowsInnerDurable(BaselineBackend):
    """Patches the durable test out of the SDK."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        begin_atomic = DatabaseWrapper.begin_atomic

        def patched(wrapper: Any, *, savepoint: bool, durable: bool) -> None:
            begin_atomic(wrapper, savepoint=savepoint, durable=False)

        DatabaseWrapper.begin_atomic = patched  # type: ignore[assignment, method-assign]  # the defect


class _RemembersWhatItSent(BaselineBackend):
    """transaction_status repeats what was sent last."""

    _begun: ClassVar[set[int]] = set()

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        super().begin(connection)
        self._begun.add(id(connection))

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        super().commit(connection)
        self._begun.discard(id(connection))

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        super().rollback(connection)
        self._begun.discard(id(connection))

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION if id(connection) in self._begun else TransactionStatus.IDLE


@mutant("TX-010", says="a COMMIT inside the block ended its transaction")
class BelievesWhatItSent(_RemembersWhatItSent):
    """transaction_status repeats what was sent last instead of asking the driver."""


class _RollsBackOnError(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        try:
            return super().execute(*args)
        except Exception:
            self.connection.rollback()
            raise


@mutant("TX-011", says="its row is not there")
class RollsBackOnErrorUnseen(_RemembersWhatItSent):
    """Its cursors roll back after an error, and the status does not show it."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _RollsBackOnError(connection)


@mutant("TX-012", says="after an INSERT in a block it says 'unknown'")
class StatusForgets(BaselineBackend):
    """transaction_status says nothing any more once the transaction has written."""

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        if connection.in_transaction and connection.total_changes:
            return TransactionStatus.UNKNOWN
        return super().transaction_status(connection)


@mutant("TX-012", says="after opening it says 'in transaction'")
class StatusIsConstant(BaselineBackend):
    """transaction_status always says "in transaction"."""

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION


@mutant("TX-013", says="neither commit() nor the block raised anything")
class HidesRefusedCommit(BaselineBackend):
    """commit swallows the driver's error and rolls back."""

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        try:
            connection.commit()
        except sqlite3.IntegrityError:
            connection.rollback()


@mutant("TX-014", says="right after begin() the driver says 'idle'")
class BeginIsImplicit(BaselineBackend):
    """begin leaves it to the driver to begin with the first statement that writes."""

    @override
    def begin(self, connection: sqlite3.Connection, /) -> None:
        connection.isolation_level = "DEFERRED"

    @override
    def commit(self, connection: sqlite3.Connection, /) -> None:
        super().commit(connection)
        connection.isolation_level = None

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        super().rollback(connection)
        connection.isolation_level = None


@mutant("TX-014", says="after an inner block that came first in the outer one another session sees 1 row(s)")
class BeginIsImplicitAndUnknown(BeginIsImplicit):
    """begin leaves it to the driver to begin, and the status tells nothing."""

    @override
    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.UNKNOWN


@mutant("TX-015", says="no transaction is active")
class RollbackInsists(BaselineBackend):
    """rollback raises where no transaction is open."""

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("ROLLBACK").close()


@mutant("TX-016", says="with autocommit off, before the commit, another session sees 1 row(s)")
class AlwaysAutocommits(BaselineBackend):
    """set_autocommit(False) does nothing."""

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        pass


@mutant("TX-016", says="with autocommit on again")
class NeverBackToAutocommit(BaselineBackend):
    """set_autocommit(True) does nothing."""

    @override
    def set_autocommit(self, connection: sqlite3.Connection, autocommit: bool, /) -> None:
        if not autocommit:
            super().set_autocommit(connection, autocommit)


class _CommitsBeforeDDL(BaselineCursor):
    __slots__ = ()

    @override
    def execute(self, *args: Any) -> Any:
        if args and str(args[0]).startswith("CREATE"):
            self.connection.commit()
        return super().execute(*args)


@mutant("TX-017", says="survived the block's rollback")
class CommitsBeforeDDL(BaselineBackend):
    """Its cursors commit before each CREATE, as Python's sqlite3 once did, and transactional DDL is declared."""

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return _CommitsBeforeDDL(connection)


@mutant("TX-017", says="transactional_ddl is not True")
class DeclaresAndDenies(BaselineBackend):
    """It inherits SupportsTransactionalDDL, and transactional_ddl is False."""

    @property
    @override
    def transactional_ddl(self) -> bool:
        return False


@mutant("TX-018", says="the ability is undeclared")
class HidesTransactionalDDL(BaselineBackend):
    """Transactional DDL works and is not declared."""

    @property
    @override
    def abilities(self) -> frozenset[type]:
        return frozenset(ABILITIES) & super().abilities - {SupportsTransactionalDDL}


@mutant("TX-019", says="an INSERT in a read-only session raised nothing")
class ReadOnlyIsIgnored(BaselineBackend):
    """set_read_only does nothing."""

    @override
    def set_read_only(self, connection: sqlite3.Connection, read_only: bool, /) -> None:
        pass


@mutant("TX-019", says="writable again, the session still refuses")
class ReadOnlyForEver(BaselineBackend):
    """set_read_only(False) does nothing."""

    @override
    def set_read_only(self, connection: sqlite3.Connection, read_only: bool, /) -> None:
        if read_only:
            super().set_read_only(connection, read_only)


def _patch_on_commit(replacement: Callable[..., None]) -> None:
    DatabaseWrapper.on_commit = replacement  # type: ignore[method-assign]  # the defect


@mutant("TX-020", says="the hook ran inside the block")
class HooksAtOnce(BaselineBackend):
    """Patches the SDK so that commit hooks run when they are registered."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        _patch_on_commit(lambda _wrapper, function, *, robust=False: function())


@mutant("TX-021", says="of the failed block")
class HooksWhateverHappens(BaselineBackend):
    """Patches the SDK so that commit hooks run at the end of the block, however it ends."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        hooks: list[Callable[[], object]] = []
        end_atomic = DatabaseWrapper.end_atomic

        def patched(wrapper: Any, *, failed: bool) -> None:
            end_atomic(wrapper, failed=failed)
            while hooks and not wrapper.in_atomic_block:
                hooks.pop(0)()

        DatabaseWrapper.end_atomic = patched  # type: ignore[assignment, method-assign]  # the defect
        _patch_on_commit(lambda _wrapper, function, *, robust=False: hooks.append(function))
