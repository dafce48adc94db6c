"""The error tree: PEP 249's, plus what a wrapper itself can refuse.

Every error that a driver raises at a step the SDK conducts arrives as one of these, with the driver's
own error as ``__cause__``. A mistake in the program (``TypeError``, ``AttributeError``, ...) passes
through as it is. ``step`` and ``alias`` say where it happened; they are shown by ``str()``.

Source: PEP 249, "Exceptions".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BlockingCallError",
    "ConnectionClosedError",
    "DataError",
    "DatabaseError",
    "DatabaseErrorGroup",
    "DriverErrors",
    "Error",
    "ErrorClasses",
    "ImproperlyConfigured",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "ScopeError",
    "ThreadSharingError",
    "TransactionManagementError",
    "UnknownAliasError",
    "UnknownEngineError",
    "Warning",
    "as_bytes",
    "driver_errors",
    "errors_of_driver",
    "raise_together",
    "scrub",
    "without",
]

T = TypeVar("T")


class _Placed(Exception):
    """An error that shows where it happened."""

    step: str | None = None
    alias: str | None = None

    def __str__(self) -> str:
        text = Exception.__str__(self)  # not super()'s: a KeyError's is in quotes
        if self.step is None:
            return text
        where = self.step if self.alias is None else f"{self.step} on {self.alias!r}"
        return f"{where}: {text}"


class Warning(_Placed):
    """PEP 249 ``Warning``: important, not an error of the tree below."""


class Error(_Placed):
    """Root of every error of the SDK. ``step`` names what failed, ``alias`` on which connection."""


class InterfaceError(Error):
    """The interface was misused, rather than the database."""


class DatabaseError(Error):
    """Whatever concerns the database."""


class DataError(DatabaseError):
    """A value did not fit."""


class OperationalError(DatabaseError):
    """The database's operation failed: unreachable, out of memory, disconnected."""


class IntegrityError(DatabaseError):
    """A constraint was violated."""


class InternalError(DatabaseError):
    """The database itself reports an internal fault."""


class ProgrammingError(DatabaseError):
    """Wrong SQL, unknown table, wrong number of parameters."""


class NotSupportedError(DatabaseError):
    """The database, or the backend as declared, cannot do this."""


class ConnectionClosedError(InterfaceError):
    """A cursor was used after its connection was closed, released or inherited by a fork."""


class ThreadSharingError(ProgrammingError):
    """A wrapper, or a cursor of its, was used by a thread or task that does not own it."""


class BlockingCallError(ProgrammingError):
    """A blocking call was made under a running event loop."""


class TransactionManagementError(ProgrammingError):
    """Transactions were mixed up, or the block's transaction is gone."""


class ImproperlyConfigured(InterfaceError):
    """Settings are wrong; the text names the key and the way out."""


class UnknownEngineError(ImproperlyConfigured):
    """No backend class answers to this engine name."""


class UnknownAliasError(ImproperlyConfigured, KeyError):
    """No database answers to this alias here."""


class ScopeError(InterfaceError):
    """No scope is in force where one is required, or the scope has ended."""


class DatabaseErrorGroup(ExceptionGroup[Exception], DatabaseError):
    """Several aliases failed in one call; also a ``DatabaseError``."""

    def derive(self, excs: Iterable[Exception], /) -> DatabaseErrorGroup:  # type: ignore[override]  # typeshed types it by a new type variable, which no concrete class satisfies
        return DatabaseErrorGroup(self.message, list(excs))

    def __str__(self) -> str:
        return f"{self.message} ({len(self.exceptions)} errors)"


def raise_together(message: str, errors: list[Exception]) -> None:
    """Raise nothing, the one error bare, or all as one group."""
    try:
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise DatabaseErrorGroup(message, errors)
    finally:
        del errors  # or this frame, which the error's traceback holds, would hold the error


class ErrorClasses(Protocol):
    """What carries a driver's error classes: its module usually satisfies this (PEP 249)."""

    @property
    def Error(self) -> type[Exception]: ...  # noqa: N802 - PEP 249 fixes the name


_BY_NAME: dict[str, type[Error | Warning]] = {
    cls.__name__: cls
    for cls in (
        Warning, Error, InterfaceError, DatabaseError, DataError, OperationalError,
        IntegrityError, InternalError, ProgrammingError, NotSupportedError,
    )
}  # fmt: skip


class DriverErrors:
    """One driver's error classes, and the way from each to ours.

    ``caught`` is what an ``except`` clause takes: PEP 249's ``Error`` and ``Warning`` of that driver.
    """

    __slots__ = ("_known", "caught")

    def __init__(self, classes: object) -> None:
        found = (getattr(classes, name, None) for name in ("Error", "Warning"))
        self.caught: tuple[type[BaseException], ...] = tuple(
            cls for cls in found if isinstance(cls, type) and issubclass(cls, Exception)
        )
        self._known: dict[type[BaseException], type[Error | Warning]] = {}

    def translate(self, error: BaseException) -> Error | Warning:
        """Ours for the driver's *error*: same arguments, the nearest PEP 249 class."""
        kind = type(error)
        ours = self._known.get(kind)
        if ours is None:
            ours = self._known[kind] = _nearest(kind)
        return ours(*error.args)


def _nearest(kind: type[BaseException]) -> type[Error | Warning]:
    for cls in kind.__mro__:
        ours = _BY_NAME.get(cls.__name__)
        if ours is not None:
            return ours
    return DatabaseError


_by_classes: WeakKeyDictionary[object, DriverErrors] = WeakKeyDictionary()


def driver_errors(classes: object) -> DriverErrors:
    """The one `DriverErrors` of *classes* (a module, as a rule), so that what it learns is kept."""
    try:
        known = _by_classes.get(classes)
        if known is None:
            known = _by_classes[classes] = DriverErrors(classes)
    except TypeError:  # neither hashable nor weakly referable: made anew each time
        known = DriverErrors(classes)
    return known


def errors_of_driver(example: object) -> DriverErrors:
    """The error classes of the driver that made *example*, when its backend declares none.

    *example* is a connection, or an error raised before there was one. Looks at the object itself (PEP
    249's optional extension), then at the packages that define its class. When neither has an ``Error``
    nothing is translated.
    """
    if isinstance(getattr(example, "Error", None), type):
        return DriverErrors(example)  # not kept: the connection would stay alive
    parts = type(example).__module__.split(".")
    for length in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if isinstance(getattr(module, "Error", None), type):
            return driver_errors(module)
    return DriverErrors(None)


def scrub(error: BaseException, secrets: Iterable[str]) -> None:
    """Take *secrets* out of the texts of *error* and of all it came from (libpq repeats what it was given)."""
    hidden = [text for text in secrets if text]
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        _clean(error, hidden)
        inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        waiting += [other for other in (error.__cause__, error.__context__, *inside) if other is not None]


def _clean(error: BaseException, secrets: list[str]) -> None:
    error.args = without(error.args, secrets)
    error.__dict__.update({name: without(value, secrets) for name, value in vars(error).items()})  # notes, ``msg``
    if isinstance(error, OSError):  # shows these instead of its args, and those that were ever set differently
        for name in ("strerror", "filename", "filename2"):
            value = getattr(error, name)
            cleaned = without(value, secrets)
            if cleaned is not value:
                setattr(error, name, cleaned)


def as_bytes(text: str) -> bytes:
    """*text* in UTF-8, whatever it holds: undecodable bytes as they were, other lone surrogates as they are."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def without(value: T, secrets: list[str]) -> T:
    """*value* itself, or where a text in it holds one of *secrets*, a copy with ``***`` in its place."""
    made: Any = value
    if isinstance(made, str):
        for secret in secrets:
            made = made.replace(secret, "***")
    elif isinstance(made, bytes):
        for secret in secrets:
            made = made.replace(as_bytes(secret), b"***")
    elif type(made) is dict:
        made = {name: without(item, secrets) for name, item in made.items()}
    elif type(made) in {tuple, list}:
        made = type(made)(without(item, secrets) for item in made)
    return value if made is value or made == value else cast("T", made)
