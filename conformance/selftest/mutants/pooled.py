"""Wrong pools: the right one of `conformance.selftest.pooled` with one defect each."""

from __future__ import annotations

import queue
import sqlite3
import threading
from typing import Any, ClassVar

from typing_extensions import override

from backend_sdk import Handle, InterfaceError, SupportsRenew

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams
from ..pooled import Connection, Lease, PooledBaseline, PooledBaselineSettings, TinyPool
from . import mutant


class _KeepsFailed(TinyPool):
    @override
    def failed(self, connection: Connection) -> None:
        pass


@mutant("LIFE-004", says="connection(s) are still open")
class ForgetsToCloseWhatFailed(PooledBaseline):
    """What fails while it is being opened is not closed."""

    pool_class = _KeepsFailed


class _LosesPlace(TinyPool):
    @override
    def fill(self) -> Connection:
        return self.open()


@mutant("LIFE-005", says="the pool has no place left")
class LosesPlaceOfFailedOpen(PooledBaseline):
    """An open that fails keeps its place for good."""

    pool_class = _LosesPlace


class _KeepsHalfMade(TinyPool):
    @override
    def failed(self, connection: Connection) -> None:
        self.places += 1
        self.idle.append(connection)


@mutant("LIFE-006", says="behind the pool 1 connection(s) are still open")
class LeasesHalfMade(PooledBaseline):
    """What could not be initialized is idle, for the next one to have."""

    pool_class = _KeepsHalfMade


@mutant("LIFE-009", says="two wrappers of one backend got the same connection")
class LeavesLeasedOnShelf(PooledBaseline):
    """A lease stays among the idle ones."""

    class pool_class(TinyPool):  # noqa: N801 - the attribute's name
        @override
        def lease(self, connection: Connection) -> Connection:
            self.idle.append(connection)
            return super().lease(connection)


class _OwnParams(TinyPool):
    first: ClassVar[BaselineParams | None] = None

    @override
    def params(self) -> BaselineParams:
        if _OwnParams.first is None:
            _OwnParams.first = super().params()
        return _OwnParams.first


@mutant("LIFE-012", says="params that are not those of the backend behind it")
class OpensWithParamsOfTheFirst(PooledBaseline):
    """All pools open with the params of the first one."""

    pool_class = _OwnParams


class _KeepsParams(TinyPool):
    kept: BaselineParams | None = None

    @override
    def params(self) -> BaselineParams:
        if self.kept is None:
            self.kept = super().params()
        return self.kept


@mutant("LIFE-017", says="asked 1 time(s) for params")
class KeepsParams(PooledBaseline):
    """The params are asked for once."""

    pool_class = _KeepsParams


class _CleansNothing(TinyPool):
    @override
    def clean(self, connection: Connection) -> None:
        connection.rollback()


@mutant("LIFE-018", says="can read the last one's temporary table")
class ResetsNothing(PooledBaseline):
    """A session comes back rolled back and no more."""

    pool_class = _CleansNothing


class _LeavesTransaction(TinyPool):
    @override
    def clean(self, connection: Connection) -> None:
        if not connection.in_transaction:
            super().clean(connection)


@mutant("LIFE-018", says="of one row that the next lease inserted 2 were to be seen")
class HandsOnTransaction(PooledBaseline):
    """A session comes back with its open transaction."""

    pool_class = _LeavesTransaction


class _Commits(TinyPool):
    @override
    def clean(self, connection: Connection) -> None:
        connection.commit()
        super().clean(connection)


@mutant("LIFE-018", says="the last lease's open transaction was committed")
class CommitsOnReturn(PooledBaseline):
    """What is open when a session comes back is committed."""

    pool_class = _Commits


@mutant("SET-016", says="has others: atomic_requests")
class DropsSetting(PooledBaseline):
    """Its own copy of the settings loses ATOMIC_REQUESTS with CONN_MAX_AGE."""

    @override
    def own(self, settings: PooledBaselineSettings) -> PooledBaselineSettings:
        return super().own(settings).derive(atomic_requests=False)


@mutant("AGE-001", says="a lease was kept at the end of its use")
class KeepsMaxAge(PooledBaseline):
    """Its own copy of the settings keeps CONN_MAX_AGE."""

    @override
    def own(self, settings: PooledBaselineSettings) -> PooledBaselineSettings:
        return settings


@mutant("ID-004", says="a cursor in self.pool")
class KeepsCursors(PooledBaseline):
    """The pool notes every cursor."""

    @override
    def _cursor(self, connection: Connection, /) -> BaselineCursor:
        cursor = super()._cursor(connection)
        vars(self.pool).setdefault("cursors", []).append(cursor)
        return cursor


class _Closes(TinyPool):
    @override
    def release(self, connection: Connection) -> None:
        self.leased.pop(id(connection))
        self.backend.close_connection(connection)


@mutant("CLOSE-001", says="did not come back to the pool")
class LosesPlaceOnReturn(PooledBaseline):
    """What comes back is closed, and its place is lost."""

    pool_class = _Closes


class _OpensSpare(TinyPool):
    @override
    def fill(self) -> Connection:
        self.idle.insert(0, super().fill())
        return super().fill()


@mutant("CLOSE-001", says="one after the other, left")
class OpensTwo(PooledBaseline):
    """A spare one is opened with each."""

    pool_class = _OpensSpare


class _OpensBesides(TinyPool):
    @override
    def fill(self) -> Connection:
        vars(self).setdefault("besides", []).append(sqlite3.connect(self.params()["database"]))
        return super().fill()


@mutant("CLOSE-002", says="session(s) are left")
class OpensBesides(PooledBaseline):
    """With each connection goes a session of the pool's own."""

    pool_class = _OpensBesides


class _OwnThreadOnly(TinyPool):
    @override
    def release(self, connection: Connection) -> None:
        lease = self.leased.get(id(connection))
        if lease is None or lease.thread is threading.current_thread():
            super().release(connection)


@mutant("CLOSE-008", says="did not come back to the pool")
class IgnoresOtherThreads(PooledBaseline):
    """A release by another thread than the one that leased is ignored."""

    pool_class = _OwnThreadOnly


class _ReleaseRaises(TinyPool):
    @override
    def release(self, connection: Connection) -> None:
        super().release(connection)
        raise InterfaceError("given back")


@mutant("SCOPE-004", says="raised InterfaceError: given back")
class ReleaseRaises(PooledBaseline):
    """A release raises."""

    pool_class = _ReleaseRaises


@mutant("SCOPE-001", says="tenant's table holds")
class KeyedByAlias(PooledBaseline):
    """The pool is found by alias: another database under the same one gets the first's connections."""

    @override
    def key(self) -> object:
        return "default"


@mutant("GC-007", says="more session(s) than before")
class LeaksDropped(PooledBaseline):
    """What a finalizer gives back is neither closed nor leased again."""

    class pool_class(TinyPool):  # noqa: N801 - the attribute's name
        @override
        def drop(self, connection: Connection) -> None:
            vars(self).setdefault("lost", []).append(self.leased.pop(id(connection)))


class _Racing(TinyPool):
    @override
    def pop(self) -> Connection:
        found = self.idle[-1]
        self.turn.release()  # as it would be between the look and the taking, without the lock
        threading.Event().wait(0.002)
        self.turn.acquire()
        if found in self.idle:
            self.idle.remove(found)
        return found


@mutant("POOL-011", says="leased to two at the same time")
class TakesInTwoSteps(PooledBaseline):
    """What is idle is looked at, and taken later."""

    pool_class = _Racing


class _Boundless(TinyPool):
    @override
    def out_of_time(self) -> Exception:
        raise AssertionError

    @override
    def acquire(self, wait: float) -> Connection:
        with self.turn:
            self.tend()
            found = self.take()
            if found is None:
                self.places += 1
                found = self.fill()
            return self.lease(found)


@mutant("POOL-011", says="a pool of 3 had")
class IgnoresSize(PooledBaseline):
    """It opens as many as are asked for."""

    pool_class = _Boundless


class _RaisesEmpty(TinyPool):
    @override
    def out_of_time(self) -> Exception:
        return queue.Empty()


@mutant("POOL-012", says="it raised _queue.Empty, none of ours")
class LetsLibraryErrorOut(PooledBaseline):
    """A wait that is too long ends in the error of the queue that it uses."""

    pool_class = _RaisesEmpty


class _SaysConnect(TinyPool):
    @override
    def out_of_time(self) -> Exception:
        return sqlite3.OperationalError("no connection")


@mutant("POOL-012", says="the error's step is 'connect'")
class CallsWaitingConnecting(PooledBaseline):
    """A wait that is too long is reported as a failed connection."""

    pool_class = _SaysConnect


class _Queue(TinyPool):
    @override
    def pop(self) -> Connection:
        return self.idle.pop(0)


@mutant("POOL-013", says="another one than the one used last")
class TakesOldest(PooledBaseline):
    """The one that has been idle longest is leased first."""

    pool_class = _Queue


class _Ageless(TinyPool):
    @override
    def too_old(self, connection: Connection) -> bool:
        return False


@mutant("POOL-014", says="it was leased again")
class IgnoresLifetime(PooledBaseline):
    """The lifetime is taken and means nothing."""

    pool_class = _Ageless


class _TakesAnything(TinyPool):
    @override
    def release(self, connection: Connection) -> None:
        self.leased.pop(id(connection), None)
        self.give_back(connection)


@mutant("POOL-015", says="given back twice was leased to two")
class TakesBackTwice(PooledBaseline):
    """What comes back twice is idle twice."""

    pool_class = _TakesAnything


class _ForgetsDropped(TinyPool):
    @override
    def drop(self, connection: Connection) -> None:
        pass


@mutant("POOL-016", says="after a wrapper was dropped its place in the pool was lost")
class ForgetsDropped(PooledBaseline):
    """What a finalizer gives back is forgotten."""

    pool_class = _ForgetsDropped


class _TrustsThreads(TinyPool):
    @override
    def lease(self, connection: Connection) -> Connection:
        self.leased[id(connection)] = Lease(connection, threading.main_thread())
        return connection


@mutant("POOL-016", says="after a thread died that had not closed its wrapper its place in the pool was lost")
class TrustsThreadsToClose(PooledBaseline):
    """A thread's end is not noticed."""

    pool_class = _TrustsThreads


class _TakesFromOwners(TinyPool):
    @override
    def is_anothers(self, handle: Handle[Any]) -> bool:
        return False


@mutant("POOL-019", says="the owner's lease was ended")
class TakesFromOwners(PooledBaseline):
    """A lease ends with the thread that opened it, whosever the wrapper is."""

    pool_class = _TakesFromOwners


class _LooksAtNothing(TinyPool):
    @override
    def good(self, connection: Connection) -> bool:
        return True


@mutant("POOL-017", says="a session that had ended while idle was leased")
class LooksAtNothing(PooledBaseline):
    """What is idle is leased without a look."""

    pool_class = _LooksAtNothing


class _LosesBroken(TinyPool):
    @override
    def discard(self, connection: Connection) -> None:
        self.backend.close_connection(connection)


@mutant("POOL-018", says="after a lease had broken in use the next one failed")
class LosesPlaceOfBroken(PooledBaseline):
    """What comes back broken is closed, and its place is lost."""

    pool_class = _LosesBroken


@mutant("POOL-010", says="can read the last one's temporary table")
class RenewsHalf(SupportsRenew[Connection], BaselineBackend):
    """renew rolls back and initializes, and resets nothing."""

    @override
    def renew(self, connection: Connection, /) -> None:
        connection.rollback()
        self.init_connection_state(connection)


@mutant("POOL-010", says="it committed the last user's open transaction")
class RenewCommits(SupportsRenew[Connection], BaselineBackend):
    """renew commits what is open."""

    @override
    def renew(self, connection: Connection, /) -> None:
        connection.commit()
        self.reset(connection)
        self.init_connection_state(connection)
