"""Alias to wrapper, here and now: ``connections[alias]`` is this thread's, or this task's, under the scope in force.

Sources: Django ticket 17258; the "multi-db" threads of the Django developers' list.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from typing_extensions import override

from .closing import raise_collected, run_all, run_in_background
from .databases import DEFAULT_ALIAS, Databases, unknown_alias
from .local import current_task, current_token
from .lookup import Lookup
from .proxies import BackendProxy, ConnectionProxy, unwrapped
from .release import Cache, retire, surrender
from .slots import Layer
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .backend import BaseBackend
    from .databases import AnyWrapper, Source
    from .lookup import AnyLayer, AnySlot

__all__ = ["Connections", "backend", "configure", "connection", "connections"]

ShapeT = TypeVar("ShapeT")


class Connections(Lookup):
    """The wrappers of the present thread, or task, by alias: made when first asked for, of the databases in force.

    In force is the innermost scope's mapping, else what `configure` was given. A library makes a handler of its own;
    an application uses the module's, `connections`. Up to *cache_size* open sessions are kept by each thread from
    one scope to the next.

    Event loops are asyncio's and whatever runs its tasks, such as uvloop. To any other (trio) a task is nothing but its
    thread: reach a database through ``trio.to_thread.run_sync``, whose worker inherits the scope.
    """

    __slots__ = ()

    def __init__(
        self,
        databases: Mapping[str, Source] | Databases | None = None,
        *,
        require_scope: bool = False,
        cache_size: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(require_scope=require_scope, cache_size=cache_size, clock=clock)
        if databases is not None:
            self.configure(databases, require_scope=require_scope)

    def configure(self, databases: Mapping[str, Source] | Databases, *, require_scope: bool = False) -> None:
        """Say what the aliases stand for outside of any scope, in every thread. What was made before is closed.

        With *require_scope* there is nothing outside of a scope: a lookup there is refused.
        """
        before = self._base
        self._require_scope = require_scope
        self._base = Layer(Databases.of(databases), is_base=True)
        if before is not None:
            errors: list[Exception] = []
            self.end(before, "the databases were configured anew", errors)
            raise_collected("closing what was configured before failed", errors)

    # The mapping; `__getitem__` is inherited

    def __setitem__(self, alias: str, wrapper: AnyWrapper) -> None:
        """Let *alias* stand for *wrapper* in this thread (or task), until the scope or the route ends."""
        if not isinstance(wrapper, DatabaseWrapper):
            raise TypeError(f"connections[{alias!r}] takes a DatabaseWrapper, not {type(wrapper).__qualname__}")
        for slot in self._slots_of(alias):
            slot.wrappers[alias] = unwrapped(wrapper)

    def __delitem__(self, alias: str) -> None:
        """Forget this thread's wrapper; the next lookup makes another."""
        found = [slot.wrappers.pop(alias, None) for slot in self._slots_of(alias)]
        if not any(wrapper is not None for wrapper in found):
            raise unknown_alias(alias, self.slot().wrappers)

    def _slots_of(self, alias: str) -> Iterator[AnySlot]:
        """Where *alias* is looked up from here: a route over it hides what lies below."""
        for layer in self.layer().chain():
            yield self.slot(layer)
            if alias in layer.routes:
                return

    def __iter__(self) -> Iterator[str]:
        """Every alias that is configured, routed or assigned here."""
        layer = self.layer()
        names = dict.fromkeys(layer.databases)
        for each in layer.chain():
            names.update(dict.fromkeys(each.routes))
            names.update(dict.fromkeys(self.slot(each).wrappers))
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, alias: object) -> bool:
        return alias in list(iter(self))

    def all(self, initialized_only: bool = False) -> list[AnyWrapper]:
        """This thread's wrappers, each once; those not made yet are made, unless *initialized_only*."""
        found = [self.initialized(alias) if initialized_only else self[alias] for alias in self]
        return list({id(wrapper): wrapper for wrapper in found if wrapper is not None}.values())

    def close_all(self) -> None:
        """Close this thread's connections, every one even when one raises. What is another thread's is left alone."""
        errors: list[Exception] = []
        caller = current_token()
        for wrapper in self.all(initialized_only=True):
            try:
                if wrapper._ownership.token is caller:
                    wrapper.close()
            except Exception as error:
                errors.append(error)
        raise_collected("closing the connections failed", errors)

    def typed(self, shape: type[ShapeT]) -> ShapeT:
        """This handler, for a type checker, as the TypedDict *shape*::

        class Shape(TypedDict):
            default: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]

        dbs = connections.typed(Shape)
        """
        return cast("ShapeT", self)

    @override
    def __repr__(self) -> str:
        return f"<Connections over {self._base.databases!r}>" if self._base is not None else "<Connections>"

    # Ending. What fails meanwhile is collected in one list that the caller empties: see `raise_collected`.

    def end(self, layer: AnyLayer, reason: str, errors: list[Exception]) -> None:
        """Release everything that was made under *layer*, in whatever thread.

        Under a running event loop, whatever may block is done in the background.
        """
        closers = self.release(layer, reason, errors)
        if current_task() is None:
            run_all(closers, errors)
        elif closers:
            run_in_background(closers)

    def release(self, layer: AnyLayer, reason: str, errors: list[Exception]) -> list[Callable[[], None]]:
        """As `end`, but the closing of what is not this thread's is left to the caller."""
        layer.ended = True
        closers: list[Callable[[], None]] = []
        if not layer.used:
            return closers
        task = current_task()
        place = self._places.here(task)
        mine = place.slots if place is not None and task is None else {}
        for slot in layer.slots():
            owned = slot.layer is not None and mine.get(slot.layer) is slot
            cache = place.cache if place is not None and owned else None
            for wrapper in slot.take():
                try:
                    _let_go(wrapper, reason, cache, closers)
                except Exception as error:
                    errors.append(error)
        for wrapper in layer.left():
            try:
                _let_go(wrapper, reason, None, closers)
            except Exception as error:
                errors.append(error)
        if place is not None:
            place.slots.pop(layer, None)
        return closers

    def end_one(self, wrapper: AnyWrapper, reason: str) -> None:
        """End *wrapper*, whose owner calls. Under a running event loop, what may block is done in the background."""
        in_task = current_task() is not None
        if not in_task and wrapper._ownership.lock is None:
            surrender(wrapper, reason)
            return
        closer = retire(wrapper, reason)  # a borrower may be inside the driver
        if closer is not None and in_task:
            run_in_background([closer])
        elif closer is not None:
            closer()

    def forget_sessions(self) -> None:
        """Close the sessions that this thread keeps between scopes."""
        place = self._places.here(current_task())
        if place is not None:
            place.cache.clear()

    @property
    def kept_sessions(self) -> int:
        """How many open sessions this thread keeps between scopes."""
        place = self._places.here(current_task())
        return len(place.cache) if place is not None else 0


def _let_go(wrapper: AnyWrapper, reason: str, cache: Cache | None, closers: list[Callable[[], None]]) -> None:
    """End *wrapper*: here and now where it is this thread's, whose *cache* may keep its session; else by a closer."""
    if cache is not None and wrapper._ownership.lock is None:
        parked = surrender(wrapper, reason)
        if parked is not None:
            cache.put(parked)
        return
    closer = retire(wrapper, reason)
    if closer is not None:
        closers.append(closer)


connections = Connections()
"""The application's own handler."""

connection: DatabaseWrapper[Any, Any] = cast("Any", ConnectionProxy(connections, DEFAULT_ALIAS))
"""``connections["default"]`` of whoever uses it, at the time of use."""

backend: BaseBackend[Any, Any, Any, Any] = cast("Any", BackendProxy(connections, DEFAULT_ALIAS))
"""``connections["default"].backend`` of whoever uses it, at the time of use."""


def configure(databases: Mapping[str, Source] | Databases, *, require_scope: bool = False) -> None:
    """Say what the aliases of `connections` stand for, once, when the application starts."""
    connections.configure(databases, require_scope=require_scope)
