"""Where a request, a job or a script begins and ends: which databases hold, and who closes what it opened.

Source: the "multi-db" threads of the Django developers' list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from typing_extensions import override

from .around import around
from .closing import raise_collected, run_all, run_in_background
from .connections import Connections, connections
from .databases import Databases
from .errors import ScopeError
from .local import current_task
from .slots import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from .databases import Source
    from .lookup import AnyLayer, AnySlot

__all__ = ["Scope", "Scopes", "Signal", "scope", "scope_finished", "scope_started"]

F = TypeVar("F", bound="Callable[..., Any]")
ListenerT = TypeVar("ListenerT", bound="Callable[[Scope], object]")
SentT = TypeVar("SentT")


class Signal(Generic[SentT]):
    """Calls its listeners in the order in which they were connected, each whatever the others do."""

    __slots__ = ("_listeners", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._listeners: tuple[Callable[[SentT], object], ...] = ()

    def connect(self, listener: F) -> F:
        """Call *listener* from now on. Usable as a decorator; it is held until `disconnect`."""
        self._listeners = (*self._listeners, listener)
        return listener

    def disconnect(self, listener: Callable[[SentT], object]) -> None:
        """Call *listener* no more; nothing if it was not connected."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def send(self, sent: SentT, errors: list[Exception]) -> None:
        """Call every listener; what they raise goes into *errors*."""
        for listener in self._listeners:
            try:
                listener(sent)
            except Exception as error:
                errors.append(error)


class Scope:
    """One request, job or script: ``with``, or ``async with`` under an event loop. It is entered once.

    While it is in force, every alias stands for what *databases* says. Tasks, ``asyncio.to_thread`` and
    `bind` inherit it, each with connections of its own. Its end rolls back what was left open and releases every
    wrapper made under it, in whatever thread: kept for the thread's next scope where the settings allow it
    (``CONN_MAX_AGE``), else closed; one that is in use in another thread is closed by that thread.
    """

    __slots__ = ("_before", "_connections", "_databases", "_finished", "_layer")

    def __init__(self, handler: Connections, databases: Databases | None) -> None:
        self._connections = handler
        self._databases = databases
        self._layer: AnyLayer | None = None
        self._before: AnySlot | None = None
        self._finished = False

    @property
    def databases(self) -> Databases:
        """What the aliases stand for in it."""
        if self._layer is not None:
            return self._layer.databases  # type: ignore[no-any-return]  # the layer knows nothing of databases
        return self._databases if self._databases is not None else self._connections.databases

    @property
    def ended(self) -> bool:
        return self._finished

    def begin(self) -> None:
        """Start it without putting it in force here: for a shell that runs each step with `step`."""
        if self._layer is not None:
            raise ScopeError("a scope is entered once; make another with scope(databases)")
        self._layer = Layer(self.databases)
        errors: list[Exception] = []
        scope_started.send(self, errors)
        if errors:
            self.end(errors)

    def step(self) -> AbstractContextManager[object]:
        """Put it in force for a block, in whatever thread or context. For shells: see `begin` and `end`."""
        if self._layer is None:
            raise ScopeError("the scope has not begun")
        return self._connections.under(self._layer)

    def end(self, errors: list[Exception] | None = None) -> None:
        """Release everything. Raises what went wrong, each in turn having been tried."""
        errors = [] if errors is None else errors
        closers = self._release(errors)
        if closers and current_task() is not None:
            run_in_background(closers)
        elif closers:
            run_all(closers, errors)
        if errors:
            raise_collected("the scope's end failed", errors)

    async def end_async(self) -> None:
        """As `end`, waiting for what is closed in the background; it goes on when the waiting is cancelled."""
        errors: list[Exception] = []
        closers = self._release(errors)
        if closers:
            future = run_in_background(closers, errors)
            if future is not None:
                from asyncio import shield

                await shield(future)
        if errors:
            raise_collected("the scope's end failed", errors)

    def _release(self, errors: list[Exception]) -> list[Callable[[], None]]:
        if self._finished or self._layer is None:
            return []
        self._finished = True
        closers = self._connections.release(self._layer, "its scope has ended", errors)
        scope_finished.send(self, errors)
        return closers

    def __enter__(self) -> Self:
        self.begin()
        self._before = self._connections.enter(self._in_force())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        try:
            self.end()
        except Exception as failure:
            if error is None:
                raise
            _note(error, failure)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        try:
            await self.end_async()
        except Exception as failure:
            if error is None:
                raise
            _note(error, failure)

    def _restore(self) -> None:
        before, self._before = self._before, None
        layer = self._connections.in_force()
        # Left in another context than it was entered in, there is nothing here to restore.
        if before is not None and layer is not None and layer.top is self._layer:
            self._connections.leave(before)

    def _in_force(self) -> AnyLayer:
        if self._layer is None:
            raise ScopeError("the scope has not begun")
        return self._layer

    def bind(self, function: F) -> F:
        """*function*, to be called under this scope in whatever thread or task calls it."""
        return _bound(self._connections, self._in_force(), function)

    @override
    def __repr__(self) -> str:
        return f"<Scope over {self.databases!r}{', ended' if self._finished else ''}>"


def _note(error: BaseException, failure: Exception) -> None:
    """What the end of a failed scope met with is told, but does not replace what failed first."""
    error.add_note(f"at the scope's end, besides: {type(failure).__name__}: {failure}")


class _Bound:
    """One call of a function bound to a scope."""

    __slots__ = ("_connections", "_layer")

    def __init__(self, handler: Connections, layer: AnyLayer) -> None:
        self._connections = handler
        self._layer = layer

    def step(self) -> AbstractContextManager[object]:
        return self._connections.under(self._layer)

    def end(self) -> None:
        """What the call opened stays with its thread until the scope ends."""


def _bound(handler: Connections, layer: AnyLayer, function: F) -> F:
    return around(function, lambda: _Bound(handler, layer))


class Scopes:
    """Makes scopes for one handler: ``with scope(databases):``."""

    __slots__ = ("_connections",)

    def __init__(self, handler: Connections) -> None:
        self._connections = handler

    def __call__(self, databases: Mapping[str, Source] | Databases | None = None) -> Scope:
        """A scope over *databases*, else over those in force here.

        Give a `Databases` made once rather than a mapping where many scopes are opened.
        """
        return Scope(self._connections, Databases.of(databases) if databases is not None else None)

    def bind(self, function: F) -> F:
        """*function*, to be called under what is in force here, in a bare thread or an executor."""
        return _bound(self._connections, self._connections.layer(), function)


scope = Scopes(connections)
"""Makes scopes for the application's `connections`."""

scope_started: Signal[Scope] = Signal("scope_started")
"""Sent when a scope begins, before it is in force. A listener that raises keeps it from beginning."""

scope_finished: Signal[Scope] = Signal("scope_finished")
"""Sent when a scope has ended and what is this thread's has been released."""
