"""Where wrappers are kept: one slot per thread (or task) and layer, found through the context.

A *layer* is what is in force: the configured databases, a scope's, or a route laid over either. The context
carries it, so tasks and worker threads that copy a context inherit the layer. A *slot* holds the wrappers that
one thread or task has under one layer. Contexts carry slots too, for speed, but a copied one proves nothing:
each is tagged with its thread, and is believed only there and outside of any task.

Sources: PEP 567; Django ticket 17258.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from operator import contains
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary, ref

from . import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NOBODYS", "Layer", "Place", "Places", "Slot", "probe_tasks"]

T = TypeVar("T")
CacheT = TypeVar("CacheT")


NOBODYS: Any = threading.RLock()
"""The lock of the slots that are nobody's: never held."""

_NO_ROUTES: Mapping[str, Any] = MappingProxyType({})


class Slot(Generic[T]):
    """What one thread or task keeps under *layer*.

    ``lock`` is held for good by the slot's thread, and by nobody where the slot is a task's: asking it whether
    the caller holds it is the cheapest way to ask which thread this is (13 ns; ``get_ident() ==`` takes 30).
    """

    __slots__ = ("__weakref__", "layer", "lock", "made", "models", "wrappers")

    def __init__(self, layer: Layer[T] | None, lock: Any) -> None:
        self.layer = layer
        self.lock = lock
        self.wrappers: dict[str, T] = {}
        self.made: list[ref[T]] = []
        """What was made for this slot, whether or not an alias still names it. Weak: dropping it closes it."""
        self.models: dict[str, str] = {}
        """The alias of each model that was used here."""

    def take(self) -> list[T]:
        """Every wrapper made here that is still alive; the slot is empty afterwards."""
        alive: list[T] = []
        for made in self.made:
            wrapper = made()
            if wrapper is not None:
                alive.append(wrapper)
        self.made = []
        self.wrappers.clear()
        self.models.clear()
        return alive

    def empty(self) -> None:
        self.wrappers.clear()
        self.models.clear()


class Layer(Generic[T]):
    """What is in force in a context: *databases*, and the *routes* laid over the *parent*'s.

    A layer without a parent is a root: the configured databases (*is_base*) or a scope's.
    """

    __slots__ = ("__weakref__", "_left", "_slots", "databases", "ended", "is_base", "parent", "root", "routes")

    def __init__(
        self, databases: Any, *, parent: Layer[T] | None = None, routes: Mapping[str, Any] | None = None,
        is_base: bool = False,
    ) -> None:  # fmt: skip
        self.databases = databases
        self.parent = parent
        self.root: Layer[T] | None = parent.top if parent is not None else None
        self.routes: Mapping[str, Any] = routes or _NO_ROUTES
        self.is_base = is_base
        self.ended = False
        self._slots: dict[ref[Slot[T]], None] = {}
        self._left: dict[ref[T], None] = {}

    @property
    def top(self) -> Layer[T]:
        """The root under this layer. (A root does not refer to itself, so that dropping it frees it.)"""
        return self.root if self.root is not None else self

    @property
    def over(self) -> bool:
        """Whether what this layer stands on has ended."""
        return self.ended if self.root is None else self.root.ended

    def entry(self) -> Slot[T]:
        """What a context carries to say that this layer is in force; no wrapper is ever found in it."""
        return Slot(self, NOBODYS)

    def add(self, slot: Slot[T]) -> None:
        """Remember *slot* for `slots`. No lock: each step is atomic, and who adds looks at ``over`` afterwards."""
        _note(self._slots, slot)

    def leave(self, wrapper: T) -> None:
        """Remember *wrapper*, which somebody still holds although its thread or task, and so its slot, is gone."""
        _note(self._left, wrapper)
        if self.root is not None:
            _note(self.root._left, wrapper)

    def left(self) -> list[T]:
        """What was left so, and is still held. To be asked for after `slots`: a place leaves first and dies then."""
        if not self._left:
            return []
        return [wrapper for wrapper in (seen() for seen in list(self._left)) if wrapper is not None]

    @property
    def used(self) -> bool:
        """Whether any thread or task ever looked something up under it."""
        return bool(self._slots)

    def slots(self) -> list[Slot[T]]:
        """The living slots of this layer, and for a root those of the layers over it."""
        alive: list[Slot[T]] = []
        for seen in list(self._slots):
            slot = seen()
            if slot is not None:
                alive.append(slot)
        return alive

    def chain(self) -> Iterator[Layer[T]]:
        """This layer and all below it, the topmost first."""
        layer: Layer[T] | None = self
        while layer is not None:
            yield layer
            layer = layer.parent


def _note(seen: dict[ref[T], None], what: T) -> None:
    """By the reference itself: an id may be another's by the time that the dead are taken out."""
    if len(seen) >= 32:  # tasks come and go
        for other in list(seen):
            if other() is None:
                seen.pop(other, None)
    seen[ref(what)] = None


class Place(Generic[T, CacheT]):
    """What one thread or task keeps, over all layers; its end empties the slots, though a context may hold them.

    What somebody holds of it all the same is left to the layers, whose end closes it.
    """

    __slots__ = ("cache", "lock", "slots")

    def __init__(self, cache: CacheT, *, task: bool) -> None:
        self.slots: dict[Layer[T], Slot[T]] = {}
        self.cache = cache
        self.lock: Any = NOBODYS
        if not task:
            self.lock = threading.RLock()
            self.lock.acquire()

    def slot(self, layer: Layer[T]) -> Slot[T]:
        """The slot for *layer*, made if there is none."""
        slot = self.slots.get(layer)
        if slot is None:
            if self.slots:
                for old in [other for other in self.slots if other.ended or other.over]:
                    _leave_to(old, self.slots[old])  # whoever ends it may not have looked at its slots yet
                    del self.slots[old]
            slot = self.slots[layer] = Slot(layer, self.lock)
            layer.add(slot)
            if layer.root is not None:
                layer.root.add(slot)
        return slot

    def __del__(self) -> None:
        for layer, slot in self.slots.items():
            slot.empty()
            _leave_to(layer, slot)


def _leave_to(layer: Layer[T], slot: Slot[T]) -> None:
    """What somebody holds of what was made in *slot* is *layer*'s to end."""
    for made in slot.made:
        wrapper = made()
        if wrapper is not None:
            layer.leave(wrapper)


class _Here(threading.local):
    place: Any = None


class Places(Generic[T, CacheT]):
    """The place of each thread and task, for one handler."""

    __slots__ = ("_here", "_tasks")

    def __init__(self) -> None:
        self._here = _Here()
        self._tasks: WeakKeyDictionary[Any, Place[T, CacheT]] = WeakKeyDictionary()

    def here(self, task: object | None) -> Place[T, CacheT] | None:
        """The place of *task*, or of this thread where *task* is None."""
        if task is None:
            return self._here.place  # type: ignore[no-any-return]  # a cast would be a call, on each lookup's slow way
        return self._tasks.get(task)

    def settle(self, task: object | None, cache: CacheT) -> Place[T, CacheT]:
        place: Place[T, CacheT] = Place(cache, task=task is not None)
        if task is None:
            self._here.place = place
        else:
            self._tasks[task] = place
        return place


class _Probe:
    """True where a task may be running, by asking; for when asyncio's own table cannot be looked at."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return bool(local.running_loop())


class _OnceImported:
    """True from when asyncio is imported, without which no task runs. Asked in C, a third of what a method takes."""

    __slots__ = ()

    __bool__ = staticmethod(partial(contains, sys.modules, "asyncio.tasks"))


def probe_tasks() -> Any:
    """What is true while any task runs in this process: asyncio's table of running tasks, empty most of the time.

    Looking at a dict costs 5 ns, asking for the running loop 15 to 25. Until asyncio is imported the answer is one that
    looks whether it is, and on a Python that has no such table one that asks.
    """
    tasks = sys.modules.get("asyncio.tasks")
    if tasks is None:
        return _OnceImported()
    if getattr(tasks.__spec__, "_initializing", False):
        return _Probe()  # half imported, it has another table than the one it will end with
    table = getattr(tasks, "_current_tasks", None)
    return table if type(table) is dict and sys.version_info < (3, 14) else _Probe()
