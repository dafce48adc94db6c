"""Which connection an alias stands for, for the length of a call: ``route_connections(default="replica")``.

Source: Django ticket 17258.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from typing_extensions import override

from .around import around
from .closing import raise_collected
from .connections import Connections, connections
from .databases import DEFAULT_ALIAS, unknown_alias
from .errors import ImproperlyConfigured
from .local import current_token
from .slots import Layer
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from .databases import AnyWrapper
    from .lookup import AnyLayer, AnySlot

    Target: TypeAlias = "str | AnyWrapper | SeparateConnection"

__all__ = ["Route", "SeparateConnection", "route_connections", "separate_connection"]

F = TypeVar("F", bound="Callable[..., Any]")


class SeparateConnection:
    """A second session to the database of an alias, in the same thread.

    By itself: ``with separate_connection("default") as log: ...``, or ``separate_connection("default").open()``. As the
    target of a route it is made anew at each call, and closed at its end.
    """

    __slots__ = ("_connections", "_open", "alias")

    def __init__(self, handler: Connections, alias: str) -> None:
        self._connections = handler
        self._open: list[AnyWrapper] = []
        self.alias = alias

    def open(self) -> AnyWrapper:
        """The wrapper; the scope in force closes it, or `DatabaseWrapper.close`."""
        layer = self._connections.layer()
        self.check(layer)
        return self._connections.make(layer, self.alias)

    def check(self, layer: AnyLayer) -> None:
        """Raise `ImproperlyConfigured` where no second session could see the same database."""
        backend = layer.databases.backend(self.alias)
        if backend.settings.is_private:
            raise ImproperlyConfigured(
                f"separate_connection({self.alias!r}): each connection to this database has a database of its own; "
                "give it a name that several may open (OPTIONS memory_name, or a file)"
            )

    def __enter__(self) -> AnyWrapper:
        self._open.append(self.open())
        return self._open[-1]

    def __exit__(self, *_: object) -> None:
        self._connections.end_one(self._own(), "its block has ended")

    def _own(self) -> AnyWrapper:
        """The wrapper of the caller's own block: several threads or tasks may be inside the same object."""
        caller = current_token()
        for wrapper in reversed(self._open):
            if wrapper._ownership.token is caller:
                self._open.remove(wrapper)
                return wrapper
        return self._open.pop()

    @override
    def __repr__(self) -> str:
        return f"separate_connection({self.alias!r})"


class _Entry(NamedTuple):
    """One entry of a route: its layer, what was in force before, and which targets were open already."""

    layer: AnyLayer
    before: AnySlot
    open_before: frozenset[str]


class Route:
    """What `route_connections` makes: a context manager, and a decorator."""

    __slots__ = ("_close", "_connections", "_entries", "_targets")

    def __init__(self, handler: Connections, targets: Mapping[str, Target], *, close: bool) -> None:
        self._connections = handler
        self._targets = dict(targets)
        self._close = close
        self._entries: list[_Entry] = []

    def __call__(self, function: F) -> F:
        return around(function, lambda: _RoutedCall(self))

    def __enter__(self) -> None:
        self._entries.append(self.begin())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = self._own_entry()
        self._connections.leave(entry.before)
        self.end(entry)

    def _own_entry(self) -> _Entry:
        """The entry made in this context: several threads may be inside the same object."""
        chain = list(self._connections.in_force_chain())
        for entry in reversed(self._entries):
            if any(entry.layer is layer for layer in chain):
                self._entries.remove(entry)
                return entry
        return self._entries.pop()

    def begin(self) -> _Entry:
        handler = self._connections
        parent = handler.layer()
        for target in self._targets.values():
            _check(target, parent)
        opened = frozenset(alias for alias in self._targets if self._is_open(parent, alias))
        layer: AnyLayer = Layer(parent.databases, parent=parent, routes=self._targets)
        return _Entry(layer, handler.enter(layer), opened)

    def end(self, entry: _Entry) -> None:
        """Close what the route opened: separate connections always, the others if that was asked for."""
        errors: list[Exception] = []
        self._connections.end(entry.layer, "the route it was made for has ended", errors)
        if self._close and entry.layer.parent is not None:
            for alias in self._targets:
                wrapper = self._found(entry.layer.parent, alias)
                if wrapper is not None and alias not in entry.open_before:
                    try:
                        wrapper.close()
                    except Exception as error:
                        errors.append(error)
        raise_collected("closing what the route opened failed", errors)

    def _is_open(self, parent: AnyLayer, alias: str) -> bool:
        wrapper = self._found(parent, alias)
        return wrapper is not None and wrapper.is_open

    def _found(self, parent: AnyLayer, alias: str) -> AnyWrapper | None:
        """The wrapper that *alias* is routed to, if there is one and it is not made for the route alone."""
        target = self._targets[alias]
        if isinstance(target, str):
            return self._connections.initialized(target, parent)
        return target if isinstance(target, DatabaseWrapper) else None

    @override
    def __repr__(self) -> str:
        return f"<Route {', '.join(f'{alias}={target!r}' for alias, target in self._targets.items())}>"


class _RoutedCall:
    """One call of a routed function."""

    __slots__ = ("_entry", "_route")

    def __init__(self, route: Route) -> None:
        self._route = route
        self._entry: _Entry | None = None

    def step(self) -> AbstractContextManager[object]:
        return _RoutedStep(self)

    def enter(self) -> AnySlot:
        handler = self._route._connections
        entry = self._entry
        if entry is not None and (entry.layer.over or entry.layer.parent is not handler.layer()):
            self.end()  # resumed under another scope, or another route: the route is laid over that
            entry = None
        if entry is None:
            entry = self._entry = self._route.begin()
            return entry.before
        return handler.enter(entry.layer)

    def leave(self, before: AnySlot) -> None:
        self._route._connections.leave(before)

    def end(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            self._route.end(entry)


class _RoutedStep:
    __slots__ = ("_before", "_call")

    def __init__(self, call: _RoutedCall) -> None:
        self._call = call
        self._before: AnySlot | None = None

    def __enter__(self) -> None:
        self._before = self._call.enter()

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self._call.leave(self._before)


def _check(target: Target, layer: AnyLayer) -> None:
    if isinstance(target, SeparateConnection):
        target.check(layer)
    elif isinstance(target, str) and not any(target in known for known in _known(layer)):
        raise unknown_alias(target, layer.databases)


def _known(layer: AnyLayer) -> list[Any]:
    return [layer.databases, *(each.routes for each in layer.chain())]


def route_connections(
    targets: Mapping[str, Target] | None = None,
    /,
    *,
    close_connections: bool = False,
    connections: Connections = connections,
    **aliases: Target,
) -> Route:
    """Let aliases stand for other connections during a call or a block: ``route_connections(default="replica")``.

    A target is an alias (of what is in force outside, so two may be swapped), a wrapper, or
    `separate_connection`. Decorates functions, coroutines and generators; a generator is routed only while
    it runs. Tasks and ``asyncio.to_thread`` inherit the route. With *close_connections* the connections that were not
    open before are closed at the end. *targets* is for aliases that are no identifiers.
    """
    return Route(connections, {**(targets or {}), **aliases}, close=close_connections)


def separate_connection(alias: str = DEFAULT_ALIAS, *, connections: Connections = connections) -> SeparateConnection:
    """A second session to *alias*'s database, as for logging outside of the current transaction."""
    return SeparateConnection(connections, alias)
