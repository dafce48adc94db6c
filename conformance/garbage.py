"""What is left in memory, and whose fault it is: the bare driver's own share is measured and subtracted."""

from __future__ import annotations

import gc
import platform
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .verdict import NotApplicable

if TYPE_CHECKING:
    from .subject import Subject

__all__ = [
    "Cycle",
    "DriverShare",
    "alive",
    "collected_by_hand",
    "cycles_left_by",
    "describe",
    "finalizers_of",
    "holders_of",
]

_CONTAINERS = {dict, list, tuple, set, frozenset, types.CellType}


@contextmanager
def collected_by_hand() -> Iterator[None]:
    """No collection of garbage in the block but the ones asked for. Not applicable off CPython."""
    if platform.python_implementation() != "CPython":
        raise NotApplicable("only CPython frees by reference counting")
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # connections are dropped here on purpose
            yield
    finally:
        gc.enable()


def alive(cls: type) -> int:
    """How many instances of *cls* there are."""
    return sum(type(item) is cls for item in gc.get_objects())


@dataclass(frozen=True)
class Cycle:
    """Objects that refer to one another in a ring. Only their descriptions are kept."""

    kinds: frozenset[type]
    members: tuple[str, ...]


@dataclass(frozen=True)
class DriverShare:
    """What the bare driver leaves behind when the same is done with it alone."""

    connection_class: type
    freed_at_once: bool
    freed_by_collection: bool
    kinds: frozenset[type]

    @classmethod
    def measured(cls, subject: Subject) -> DriverShare:
        """Of the driver alone: the witness, used and dropped without being closed."""
        kind = type(subject.witness().connection)
        gc.collect()
        before = alive(kind)

        def use() -> None:
            subject.witness().rows("SELECT 1")

        use()
        at_once = alive(kind) <= before
        cycles = cycles_left_by(use)
        gc.collect()
        kinds = frozenset(kind for cycle in cycles for kind in cycle.kinds)
        return cls(kind, at_once, alive(kind) <= before, kinds)

    def explains(self, cycle: Cycle) -> bool:
        """Whether the bare driver leaves such a ring too; a subclass of its classes counts as the driver's."""
        return bool(self.kinds) and all(issubclass(kind, tuple(self.kinds)) or kind is dict for kind in cycle.kinds)


def cycles_left_by(function: Callable[[], object]) -> list[Cycle]:
    """The rings of garbage that *function* leaves for the collector."""
    gc.collect()
    saved = gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        function()
        gc.collect()
        found = [Cycle(frozenset(map(type, ring)), tuple(map(describe, ring))) for ring in _rings(gc.garbage)]
    finally:
        gc.set_debug(saved)
        gc.garbage.clear()
    return found


def _rings(garbage: list[Any]) -> list[list[Any]]:
    """The strongly connected groups among *garbage*: an object that only hangs on a ring is not of it."""
    ids = {id(item): number for number, item in enumerate(garbage)}
    ahead = [[ids[id(other)] for other in gc.get_referents(item) if id(other) in ids] for item in garbage]
    behind: list[list[int]] = [[] for _ in garbage]
    for number, others in enumerate(ahead):
        for other in others:
            behind[other].append(number)
    order: list[int] = []
    seen: set[int] = set()
    for start in range(len(garbage)):
        _walk(start, ahead, seen, order)
    rings: list[list[Any]] = []
    seen = set()
    for start in reversed(order):
        group: list[int] = []
        _walk(start, behind, seen, group)
        if len(group) > 1 or (group and group[0] in ahead[group[0]]):
            rings.append([garbage[number] for number in group])
    return rings


def _walk(start: int, edges: list[list[int]], seen: set[int], order: list[int]) -> None:
    """Append to *order* what can be reached from *start* and was not *seen*, deepest first."""
    if start in seen:
        return
    seen.add(start)
    stack = [(start, iter(edges[start]))]
    while stack:
        number, others = stack[-1]
        following = next((other for other in others if other not in seen), None)
        if following is None:
            stack.pop()
            order.append(number)
        else:
            seen.add(following)
            stack.append((following, iter(edges[following])))


def holders_of(items: list[Any]) -> list[str]:
    """What holds *items*, looking through plain containers; not what they hold themselves, as a statement cache."""
    gc.unfreeze()  # what was there before the fork is out of the collector's sight till then
    level: list[Any] = items
    seen = {id(level), *(id(item) for item in gc.get_referents(*items) if not isinstance(item, type))}
    for _ in range(5):
        seen.update(map(id, level))
        holders = [holder for holder in gc.get_referrers(*level) if id(holder) not in seen] if level else []
        holders = [holder for holder in holders if type(holder) is not types.FrameType]
        named = sorted({describe(holder) for holder in holders if type(holder) not in _CONTAINERS})
        if named:
            return named
        seen.add(id(holders))
        level = holders
    return ["something that the collector cannot see, as a callback that the driver keeps"]


def describe(item: object) -> str:
    """*item* in a few words: never its repr, which may be long, secret or broken."""
    if isinstance(item, types.FunctionType | types.MethodType):
        code = getattr(item, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if isinstance(code, types.CodeType) else ""
        return f"{type(item).__name__} {item.__qualname__}{place}"
    if isinstance(item, type):
        return f"class {item.__module__}.{item.__qualname__}"
    if isinstance(item, types.ModuleType):
        return f"module {item.__name__}"
    kind = type(item)
    if kind in _CONTAINERS:
        return kind.__name__
    wrapped = getattr(item, "__wrapped__", None) if hasattr(kind, "cache_info") else None  # a proxy may raise anything
    note = f" of {describe(wrapped)}" if wrapped is not None else _finalizer_note(kind)
    return f"{kind.__module__}.{kind.__qualname__}{note}"


def _finalizer_note(kind: type) -> str:
    owners = finalizers_of(kind)
    return f" (__del__ by {owners[0]})" if owners else ""


def finalizers_of(kind: type) -> list[str]:
    """The classes in *kind*'s order that define ``__del__``, by name."""
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in kind.__mro__ if "__del__" in vars(cls)]
