"""The contract between a database backend and the SDK.

A backend is frozen settings and four methods; `Backend` says which. Any class that has them will do; most
inherit `backend_sdk.BaseBackend`. A backend holds no connection, no thread, no wrapper and no mutable
state; it can be hashed, and used from any thread. It is made from its settings alone: ``MyBackend(settings)``.

Required: `Backend`'s members. To open a connection a wrapper, in the owner's thread, calls in this order
``get_connection_params``, ``get_new_connection``, ``configure_connection``, ``set_autocommit``,
``init_connection_state``; then ``_cursor`` for each cursor. A pool calls the same from whichever thread
needs or tends a connection, one thread at a time per connection.

One should also implement ``SupportsDriverErrors``, ``SupportsTransactions``, ``SupportsAutocommit``,
``SupportsSavepoints``, ``SupportsTransactionStatus``, ``SupportsPing``, ``SupportsReset``.

Optional abilities: the ``Supports...`` protocols below, one purpose each. A backend declares an ability by
inheriting its protocol, placed before the base class::

    class MyBackend(SupportsPing[Conn], BaseBackend[Settings, Params, Conn, Cursor], vendor="my"): ...

Each says what happens without it. A declared ability must work; one that works should be declared.

Wherever the driver raises, let its error through: the SDK turns it into one of `backend_sdk.errors`.

Sources: PEP 249; Django tickets 17258 and 19274.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from .errors import ErrorClasses
    from .settings import ConnectionSettings

__all__ = [
    "ABILITIES",
    "Ability",
    "Backend",
    "DBAPICursor",
    "SupportsAutocommit",
    "SupportsCancel",
    "SupportsClose",
    "SupportsConfigure",
    "SupportsDisconnect",
    "SupportsDriverErrors",
    "SupportsExpiringCredentials",
    "SupportsIsBroken",
    "SupportsLeases",
    "SupportsNamedCursor",
    "SupportsPing",
    "SupportsReadOnly",
    "SupportsRenew",
    "SupportsReset",
    "SupportsSavepoints",
    "SupportsServerVersion",
    "SupportsThreadSafety",
    "SupportsTransactionStatus",
    "SupportsTransactionalDDL",
    "SupportsTransactions",
    "TransactionStatus",
]


class DBAPICursor(Protocol):
    """The least of a PEP 249 cursor. ``Any``: drivers disagree on what a statement is (str, bytes, composed)."""

    @property
    def description(self) -> Any: ...

    def execute(self, operation: Any, /) -> object: ...

    def fetchone(self) -> Any: ...

    def close(self) -> object: ...


ParamsT = TypeVar("ParamsT")  # invariant: it ties the method that makes params to the one that takes them
ConnT = TypeVar("ConnT")
ConnT_contra = TypeVar("ConnT_contra", contravariant=True)
CursorT_co = TypeVar("CursorT_co", bound=DBAPICursor, covariant=True)


class Backend(Protocol[ParamsT, ConnT, CursorT_co]):
    """What every backend has. Inheriting is not needed.

    Never test this with ``isinstance`` or ``issubclass``: they would only compare names.
    """

    @property
    @abstractmethod
    def settings(self) -> ConnectionSettings:
        """The backend's own frozen copy of its settings."""
        raise NotImplementedError

    @abstractmethod
    def get_connection_params(self) -> ParamsT:
        """What ``get_new_connection`` needs, from the settings alone (and fresh credentials that expire).

        Called before each open, in the thread that opens. Equal settings give equal params; the caller may
        keep or change the result, and nothing else changes. Raise `ImproperlyConfigured` for settings that
        cannot work. Source: Django ticket 19274.
        """
        raise NotImplementedError

    @abstractmethod
    def get_new_connection(self, params: ParamsT, /) -> ConnT:
        """Open a connection that nobody else holds, from *params* alone.

        Called when a wrapper has no connection, or a pool wants one more; by a pool from any thread, at any
        time. Raise the driver's error and leave nothing open on failure. Do not initialize the session.
        """
        raise NotImplementedError

    @abstractmethod
    def init_connection_state(self, connection: ConnT, /) -> None:
        """Bring the session to what the settings ask.

        Called after open, with autocommit already set, and on each acquisition from a pool that has not kept the
        state. Must be safe to repeat and leave no transaction open. Do not open or close.
        """
        raise NotImplementedError

    @abstractmethod
    def _cursor(self, connection: ConnT, /) -> CursorT_co:
        """A new cursor that runs in this connection's own session and transaction.

        Called for each ``cursor()``. No I/O, no initialization. (DuckDB's ``connection.cursor()`` is a second
        session, so it will not do.)
        """
        raise NotImplementedError


class TransactionStatus(Enum):
    """What the driver knows of the session, without asking the server."""

    IDLE = "idle"
    IN_TRANSACTION = "in transaction"
    FAILED = "failed"  # a transaction that takes only a rollback, as PostgreSQL's after an error
    UNKNOWN = "unknown"


class Ability(Protocol):
    """What all ability protocols inherit; declares nothing."""

    if not TYPE_CHECKING:
        # typing replaces a protocol's missing __init__ by one that ends the chain of super().__init__ calls,
        # so a backend that lists abilities before its base would never be initialized.
        def __init__(self, *args, **options):
            super().__init__(*args, **options)


class SupportsConfigure(Ability, Protocol[ConnT_contra]):
    """What belongs to a connection for life: extensions, type adapters, functions. Without it: nothing."""

    @abstractmethod
    def configure_connection(self, connection: ConnT_contra, /) -> None:
        """Called once, right after open and before autocommit is set. Must not depend on the session's state."""
        raise NotImplementedError


class SupportsClose(Ability, Protocol[ConnT_contra]):
    """A closing of its own, or a pool's release. Without it: ``connection.close()``."""

    @abstractmethod
    def close_connection(self, connection: ConnT_contra, /) -> None:
        """Called once per connection, also by a finalizer in any thread. If it raises, the connection is given up."""
        raise NotImplementedError


class SupportsLeases(Ability, Protocol[ConnT_contra]):
    """A pool: ``get_new_connection`` may hand on a session, made as new, and ``close_connection`` ends the lease alone.

    Without it: a connection is opened at each connect, and its session ends when it is closed.
    """

    @abstractmethod
    def drop_connection(self, connection: ConnT_contra, /) -> None:
        """As ``close_connection``; called by finalizers, in any thread and at any point of it, so it must not wait."""
        raise NotImplementedError


class SupportsPing(Ability, Protocol[ConnT_contra]):
    """A remote probe. Without it: a connection counts as usable unless `SupportsIsBroken` says otherwise."""

    @abstractmethod
    def ping(self, connection: ConnT_contra, /) -> None:
        """One round trip that changes nothing; raise the driver's error if the session is gone. No silent reconnect."""
        raise NotImplementedError


class SupportsIsBroken(Ability, Protocol[ConnT_contra]):
    """A local verdict. Without it: a connection is never known to be broken before it is used."""

    @abstractmethod
    def is_broken(self, connection: ConnT_contra, /) -> bool:
        """Whether the session is gone, without a round trip; where the driver does not notice, look at the socket."""
        raise NotImplementedError


class SupportsTransactionStatus(Ability, Protocol[ConnT_contra]):
    """Lets the SDK see a transaction that the database ended by itself. Without it: `TransactionStatus.UNKNOWN`."""

    @abstractmethod
    def transaction_status(self, connection: ConnT_contra, /) -> TransactionStatus:
        """The driver's own view, without a round trip."""
        raise NotImplementedError


class SupportsReset(Ability, Protocol[ConnT_contra]):
    """Reuse by somebody else. Without it: a connection is never handed on, and no pool takes the backend."""

    @abstractmethod
    def reset(self, connection: ConnT_contra, /) -> None:
        """End any transaction and undo everything a user may have done to the session, temporary tables included.

        ``init_connection_state`` follows. Raise if it cannot be done; the connection is closed then.
        """
        raise NotImplementedError


class SupportsRenew(Ability, Protocol[ConnT_contra]):
    """``reset`` and what follows it in one round trip. Without it: they are called one after the other."""

    @abstractmethod
    def renew(self, connection: ConnT_contra, /) -> None:
        """Do, and raise, what ``reset``, ``set_autocommit`` as the settings say and ``init_connection_state`` do.

        A subclass that replaces one of the three has them called one after the other instead.
        """
        raise NotImplementedError


class SupportsTransactions(Ability, Protocol[ConnT_contra]):
    """Explicit transactions. Without it: ``atomic()`` raises `NotSupportedError`."""

    @abstractmethod
    def begin(self, connection: ConnT_contra, /) -> None:
        """Start a transaction at the server, in autocommit mode."""
        raise NotImplementedError

    @abstractmethod
    def commit(self, connection: ConnT_contra, /) -> None:
        """Make it durable; raise the driver's error if the database refused."""
        raise NotImplementedError

    @abstractmethod
    def rollback(self, connection: ConnT_contra, /) -> None:
        """Undo it; without a transaction do nothing."""
        raise NotImplementedError


class SupportsAutocommit(Ability, Protocol[ConnT_contra]):
    """Switching autocommit. Without it: the connection stays as opened, and only that mode can be asked for."""

    @abstractmethod
    def set_autocommit(self, connection: ConnT_contra, autocommit: bool, /) -> None:
        """Called outside transactions, after open and on ``wrapper.set_autocommit()``."""
        raise NotImplementedError


class SupportsSavepoints(Ability, Protocol[ConnT_contra]):
    """Nested transactions. Without it: a nested ``atomic()`` with a savepoint raises `NotSupportedError`."""

    @abstractmethod
    def savepoint(self, connection: ConnT_contra, name: str, /) -> None:
        """Set a savepoint; *name* is a plain identifier, unique in the session."""
        raise NotImplementedError

    @abstractmethod
    def release_savepoint(self, connection: ConnT_contra, name: str, /) -> None:
        """Keep what was done since, and forget the savepoint."""
        raise NotImplementedError

    @abstractmethod
    def rollback_to_savepoint(self, connection: ConnT_contra, name: str, /) -> None:
        """Undo what was done since, and forget the savepoint."""
        raise NotImplementedError


class SupportsTransactionalDDL(Ability, Protocol):
    """``CREATE TABLE`` and the like are undone by a rollback. Without it: they may commit by themselves."""

    @property
    @abstractmethod
    def transactional_ddl(self) -> bool:
        """True. (A member, so that the declaration is visible to a type checker.)"""
        raise NotImplementedError


class SupportsReadOnly(Ability, Protocol[ConnT_contra]):
    """Sessions that refuse writes. Without it: ``wrapper.set_read_only()`` raises `NotSupportedError`."""

    @abstractmethod
    def set_read_only(self, connection: ConnT_contra, read_only: bool, /) -> None:
        """Called outside transactions."""
        raise NotImplementedError


class SupportsCancel(Ability, Protocol[ConnT_contra]):
    """Interrupting the running statement. Without it: ``wrapper.cancel()`` raises `NotSupportedError`."""

    @abstractmethod
    def cancel(self, connection: ConnT_contra, /) -> None:
        """Called from another thread while a statement runs; the statement then raises the driver's error."""
        raise NotImplementedError


class SupportsServerVersion(Ability, Protocol[ConnT_contra]):
    """Without it: ``wrapper.server_version`` raises `NotSupportedError`."""

    @abstractmethod
    def server_version(self, connection: ConnT_contra, /) -> tuple[int, ...]:
        """As numbers, most significant first: (16, 4)."""
        raise NotImplementedError


class SupportsDisconnect(Ability, Protocol):
    """Tells a lost connection from another error. Without it: only `SupportsIsBroken` and ping tell."""

    @abstractmethod
    def is_disconnect(self, error: BaseException, /) -> bool:
        """Whether the driver's *error* means that the session is gone."""
        raise NotImplementedError


class SupportsDriverErrors(Ability, Protocol):
    """The driver's error classes. Without it: looked for on the connection and in its class's packages."""

    @property
    @abstractmethod
    def driver_errors(self) -> ErrorClasses:
        """What has PEP 249's exceptions as attributes; usually the driver's module itself."""
        raise NotImplementedError


class SupportsNamedCursor(Ability, Protocol[ConnT_contra, CursorT_co]):
    """Server-side cursors. Without it: ``wrapper.named_cursor()`` raises `NotSupportedError`."""

    @abstractmethod
    def named_cursor(self, connection: ConnT_contra, name: str, /) -> CursorT_co:
        """A cursor whose rows stay at the server until fetched."""
        raise NotImplementedError


class SupportsThreadSafety(Ability, Protocol):
    """PEP 249's ``threadsafety`` of the driver. Without it: 1, so threads that share a connection take turns."""

    @property
    @abstractmethod
    def threadsafety(self) -> int:
        """0 to 3; from 2 on, threads may use one connection at the same time."""
        raise NotImplementedError


class SupportsExpiringCredentials(Ability, Protocol):
    """Params that differ at each call since they hold a short-lived credential. Without it: params are equal."""

    @property
    @abstractmethod
    def expiring_params(self) -> frozenset[str]:
        """The names of those params."""
        raise NotImplementedError


ABILITIES: tuple[type, ...] = (
    SupportsConfigure, SupportsClose, SupportsLeases, SupportsPing, SupportsIsBroken, SupportsTransactionStatus,
    SupportsReset, SupportsRenew, SupportsTransactions, SupportsAutocommit, SupportsSavepoints,
    SupportsTransactionalDDL, SupportsReadOnly, SupportsCancel, SupportsServerVersion, SupportsDisconnect,
    SupportsDriverErrors, SupportsNamedCursor, SupportsThreadSafety, SupportsExpiringCredentials,
)  # fmt: skip
