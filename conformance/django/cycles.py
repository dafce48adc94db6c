"""Which of a wrapper's own attributes lead back to it: a ring of Django's making is told from one of the author's."""

from __future__ import annotations

import gc
import types
from typing import Any

__all__ = ["attributes_in_a_cycle"]

_DEPTH = 6
_MOST = 20_000
_EVERYBODYS = (type, types.ModuleType, types.FrameType, types.CodeType, types.BuiltinFunctionType)
"""From these everything can be reached, or nothing."""


def attributes_in_a_cycle(wrapper: object) -> list[str]:
    """The names, sorted. Only what is near is looked at: a ring through half of the process is not found."""
    attributes = vars(wrapper)
    return sorted(name for name, value in attributes.items() if _leads_to(wrapper, value, {id(attributes)}))


def _leads_to(wrapper: object, value: object, seen: set[int]) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        if any(item is wrapper for item in level):
            return True
        level = [item for item in level if id(item) not in seen and not _is_everybodys(item)]
        seen.update(map(id, level))
        if len(seen) > _MOST:
            return False
        level = [following for item in level for following in gc.get_referents(item)]
    return False


def _is_everybodys(item: object) -> bool:
    return isinstance(item, _EVERYBODYS) or (type(item) is dict and "__builtins__" in item)
