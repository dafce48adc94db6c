"""From an alias to the wrapper of the present thread, or task, under what is in force: found, or made.

`Connections` is the face of it; `scope` and `routing` stand on its layers.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

from .databases import Databases
from .errors import ImproperlyConfigured, ScopeError
from .local import current_task, current_token
from .release import Cache, adopt, retire, session_key
from .slots import NOBODYS, Layer, Place, Places, Slot, probe_tasks
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .databases import AnyBackend, AnyWrapper

    AnySlot = Slot[AnyWrapper]
    AnyLayer = Layer[AnyWrapper]
    AnyPlace = Place[AnyWrapper, Cache]

__all__ = ["Lookup", "Under"]

_UNCONFIGURED = "no databases are configured: call backend_sdk.configure({'default': ...}) or open a scope"

# True while a task runs anywhere; see `probe_tasks`. A module's global, for speed.
_tasks: Any = probe_tasks()


class Lookup:
    """One handler's slots, and the layer in force in each context.

    In force is the innermost scope's mapping, or a route over it; else the base: what was configured.
    """

    __slots__ = ("_base", "_context", "_here", "_places", "_require_scope", "cache_size", "clock")

    def __init__(self, *, require_scope: bool, cache_size: int, clock: Callable[[], float]) -> None:
        nowhere: AnySlot = Slot(None, NOBODYS)
        self._context: ContextVar[AnySlot] = ContextVar("backend_sdk_connections", default=nowhere)
        self._here = self._context.get
        self._places: Places[AnyWrapper, Cache] = Places()
        self._base: AnyLayer | None = None
        self._require_scope = require_scope
        self.cache_size = cache_size
        self.clock = clock

    def __getitem__(self, alias: str) -> AnyWrapper:
        slot = self._here()
        # A slot is copied with its context, into other threads and into tasks: neither may find anything in it.
        if slot.lock._is_owned() and not _tasks:
            try:
                return slot.wrappers[alias]
            except KeyError:
                pass
        return self._find(alias)

    # Finding and making

    def layer(self) -> AnyLayer:
        """What is in force here. Raises `ScopeError` where a scope is required or the inherited one has ended."""
        layer = self._here().layer
        if layer is None or (layer.over and layer.top.is_base):
            layer = self._base
            if self._require_scope:
                self._refuse("no scope is in force here, and this handler serves nothing without one")
            if layer is None:
                raise ImproperlyConfigured(_UNCONFIGURED)
        elif layer.over:
            self._refuse("the scope that this context was copied from has ended")
        return layer

    def _refuse(self, why: str) -> NoReturn:
        raise ScopeError(
            f"{current_token().label}: {why}. A bare Thread or executor inherits no scope (Python copies no context "
            "there): hand it scope.bind(function), or open a scope in it with `with scope(databases):`"
        )

    def place(self) -> AnyPlace:
        """Where this thread, or task, keeps what is its own."""
        task = current_task()
        return self._places.here(task) or self._places.settle(task, Cache(self.cache_size, self.clock))

    def slot(self, layer: AnyLayer | None = None) -> AnySlot:
        """The present thread's, or task's, slot for *layer* (else for what is in force)."""
        return self.place().slot(layer or self.layer())

    def _find(self, alias: str) -> AnyWrapper:
        global _tasks
        if type(_tasks) is not dict:
            _tasks = probe_tasks()  # asyncio may have been imported by now
        layer = self.layer()
        place = self.place()
        slot = place.slot(layer)
        if place.lock is not NOBODYS:
            self._context.set(slot)
        wrapper = self._in_slot(place, slot, layer, alias)
        if layer.over:  # by another thread, which may have emptied the slot before this came into it
            slot.wrappers.pop(alias, None)
            return self._find(alias)  # refused, or found in what is configured by now
        return wrapper

    def _in_slot(self, place: AnyPlace, slot: AnySlot, layer: AnyLayer, alias: str) -> AnyWrapper:
        """The wrapper that *slot*, which is *place*'s for *layer*, has of *alias*; made if there is none."""
        wrapper = slot.wrappers.get(alias)
        if wrapper is None:
            wrapper = slot.wrappers[alias] = self._resolve(place, layer, slot, alias)
        return wrapper

    def _resolve(self, place: AnyPlace, layer: AnyLayer, slot: AnySlot, alias: str) -> AnyWrapper:
        if layer.parent is None:
            shared: AnyWrapper | None = layer.databases.shared.get(alias)
            return shared if shared is not None else self._make(place, slot, layer.databases.backend(alias), alias)
        target = layer.routes.get(alias, alias)
        if isinstance(target, str):
            return self._in_slot(place, place.slot(layer.parent), layer.parent, target)
        if isinstance(target, DatabaseWrapper):
            ownership = target._ownership
            if ownership.token is current_token() or ownership.shares:
                return target
            return self._make(place, slot, target.backend, alias)  # inherited from another thread: one of its own
        return self.make(layer, target.alias)

    def make(self, layer: AnyLayer, alias: str) -> AnyWrapper:
        """A wrapper besides the one of *alias*, with a session of its own; the end of *layer* will close it."""
        place = self.place()
        return self._make(place, place.slot(layer), layer.databases.backend(alias), alias, may_adopt=False)

    def _make(
        self, place: AnyPlace, slot: AnySlot, backend: AnyBackend, alias: str, *, may_adopt: bool = True
    ) -> AnyWrapper:
        """A new wrapper, which the end of *slot*'s layer will close. A session in the cache saves it the opening."""
        wrapper: AnyWrapper = DatabaseWrapper(backend, alias, clock=self.clock)
        if len(slot.made) >= 16:
            slot.made = [made for made in slot.made if made() is not None]
        slot.made.append(ref(wrapper))
        if slot.layer is not None and slot.layer.over:  # the scope ended meanwhile, and may have missed this one
            slot.empty()
            retire(wrapper, "its scope has ended")
            self._refuse("the scope has ended")
        if may_adopt and place.cache.parked:
            parked = place.cache.take(session_key(wrapper.backend))
            if parked is not None:
                adopt(wrapper, parked)
        return wrapper

    def initialized(self, alias: str, layer: AnyLayer | None = None) -> AnyWrapper | None:
        """The wrapper of *alias* under *layer* (else what is in force), if this thread has one."""
        place = self._places.here(current_task())
        if place is None:
            return None
        for each in (layer or self.layer()).chain():
            slot = place.slots.get(each)
            if slot is not None and alias in slot.wrappers:
                return slot.wrappers[alias]
            target = each.routes.get(alias, alias)
            if not isinstance(target, str):
                return target if isinstance(target, DatabaseWrapper) else None
            alias = target
        return None

    # What `scope` and `routing` stand on

    @property
    def databases(self) -> Databases:
        """What the aliases stand for here: the scope's, else the configured ones. For a scope that is to begin."""
        layer = self._here().layer
        if layer is None or layer.top.is_base:
            layer = self._base
        if layer is None:
            raise ImproperlyConfigured(_UNCONFIGURED)
        if layer.over:
            self._refuse("the scope that this context was copied from has ended")
        return layer.databases  # type: ignore[no-any-return]  # the layer knows nothing of databases

    def in_force(self) -> AnyLayer | None:
        """The layer that this context carries, ended or not."""
        return self._here().layer

    def in_force_chain(self) -> Iterator[AnyLayer]:
        layer = self._here().layer
        return layer.chain() if layer is not None else iter(())

    def enter(self, layer: AnyLayer) -> AnySlot:
        """Put *layer* in force in this context; returns what `leave` restores."""
        before = self._here()
        self._context.set(layer.entry())
        return before

    def leave(self, before: AnySlot) -> None:
        """Restore by value: a token could not be reset in another context, and generators resume in any."""
        self._context.set(before)

    def under(self, layer: AnyLayer) -> Under:
        """A context manager that puts *layer* in force for its block."""
        return Under(self, layer)


class Under:
    """``with connections.under(layer):``; reusable one after the other, not nested."""

    __slots__ = ("_before", "_connections", "_layer")

    def __init__(self, connections: Lookup, layer: AnyLayer) -> None:
        self._connections = connections
        self._layer = layer
        self._before: AnySlot | None = None

    def __enter__(self) -> None:
        self._before = self._connections.enter(self._layer)

    def __exit__(self, *_: object) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._connections.leave(before)
