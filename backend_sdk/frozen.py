"""Containers that cannot change, for values inside settings, and which names stand for secrets in them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from typing_extensions import override

__all__ = ["MASK", "FrozenDict", "freeze", "names_secret"]

K = TypeVar("K")
V = TypeVar("V")

MASK = "**********"  # pydantic's

_SECRET_NAME = re.compile(
    r"^pass$|pass_?(word|wd|phrase|code)|pwd|secret|token|credential|(api|private)_?key", re.IGNORECASE
)


def names_secret(name: object) -> bool:
    """Whether a value kept under *name* in a free-form mapping is to be hidden."""
    return isinstance(name, str) and _SECRET_NAME.search(name) is not None


class FrozenDict(dict[K, V]):
    """A dict that refuses change, deeply, and can be hashed. Still a ``dict``, so drivers and JSON take it."""

    __slots__ = ()

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise TypeError("settings are frozen; derive changed ones with settings.derive(...)")

    if not TYPE_CHECKING:  # a type checker wants dict's overloads repeated, only for them to refuse

        def __new__(cls, *args, **options):
            made = super().__new__(cls)
            dict.__init__(made, {key: freeze(item) for key, item in dict(*args, **options).items()})
            return made

        def __init__(self, *_args, **_options):
            """`__new__` has filled it: a second ``__init__`` must not."""

        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    @override
    def __repr__(self) -> str:
        shown = (f"{key!r}: {(MASK if item and names_secret(key) else item)!r}" for key, item in self.items())
        return "{" + ", ".join(shown) + "}"

    @override
    def __hash__(self) -> int:  # type: ignore[override]  # dict sets it to None
        return hash(frozenset(self.items()))

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


def freeze(value: object) -> object:
    """*value* with every dict, list, set and bytearray inside replaced by a frozen one."""
    if isinstance(value, FrozenDict):
        return cast("object", value)
    if isinstance(value, Mapping):
        return FrozenDict(cast("Mapping[object, object]", value))
    if isinstance(value, list | tuple | deque):
        items = [freeze(item) for item in cast("list[object]", value)]
        make = getattr(value, "_make", tuple)  # a named tuple stays one
        return cast("object", make(items))
    if isinstance(value, AbstractSet):
        return frozenset(cast("AbstractSet[object]", value))
    if isinstance(value, bytearray):
        return bytes(value)
    return value
