"""Containers that cannot change, for values inside settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from typing_extensions import override

__all__ = ["FrozenDict", "freeze"]

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that refuses change and can be hashed. Still a ``dict``, so drivers and JSON take it."""

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise TypeError("settings are frozen; derive changed ones with settings.derive(...)")

    if not TYPE_CHECKING:  # a type checker wants dict's overloads repeated, only for them to refuse
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    @override
    def __hash__(self) -> int:  # type: ignore[override]  # dict sets it to None
        return hash(frozenset(self.items()))

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


def freeze(value: object) -> object:
    """*value* with every dict, list and set inside replaced by a frozen one."""
    if isinstance(value, FrozenDict):
        return cast("object", value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return FrozenDict({key: freeze(item) for key, item in items})
    if isinstance(value, list | tuple):
        frozen = [freeze(item) for item in cast("list[object]", value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return cast("object", value)
        return tuple(frozen)
    if isinstance(value, set):
        return frozenset(cast("set[object]", value))
    return value
