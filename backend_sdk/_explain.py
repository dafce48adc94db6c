"""Settings errors for people: the key, the place, the nearest right name; never a value."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from .errors import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel, ValidationError

__all__ = ["nearest", "refuse_unknown_keys", "settings_error"]


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'X'?)`` for the nearest of *known*, else all of them named."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:  # HOTS for HOST, or the right name in the wrong case
        close = [candidate for candidate in names if candidate.lower() == name.lower()]
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is taken here"


def refuse_unknown_keys(mapping: Mapping[str, object], known: list[str], alias: str) -> None:
    """Raise `ImproperlyConfigured` at the first key of *mapping* that is not among *known*."""
    for key in mapping:
        if key not in known:
            raise ImproperlyConfigured(f"settings of {alias!r}: unknown key {key!r}; {nearest(str(key), known)}")


def settings_error(cls: type[BaseModel], error: ValidationError, place: str, *, upper: bool) -> ImproperlyConfigured:
    """All problems of *error*, one phrase each. Pydantic's own text could repeat a secret."""
    problems = [_problem(cls, item["loc"], item["type"], item["msg"], upper=upper) for item in error.errors(
        include_url=False, include_context=False, include_input=False
    )]  # fmt: skip
    return ImproperlyConfigured(f"settings of {place!r}: " + "; ".join(dict.fromkeys(problems)))


def _problem(cls: type[BaseModel], loc: tuple[int | str, ...], kind: str, message: str, *, upper: bool) -> str:
    path = [str(part) for part in loc if not _is_union_branch(part)]
    if upper and path:
        path[0] = path[0].upper()
    where = ".".join(path) or "settings"
    if kind == "extra_forbidden":
        return f"unknown key {where!r}; {nearest(str(loc[-1]), _fields_at(cls, loc[:-1]))}"
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{where}: {text[:1].lower()}{text[1:]}"


def _is_union_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union that it tried (``int``, ``tuple[int, ...]``): no key of the user's."""
    return isinstance(part, str) and ("[" in part or "(" in part or part in {"int", "str", "float", "bool", "none"})


def _fields_at(cls: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    model: Any = cls
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        model = getattr(field, "annotation", None)
    return list(getattr(model, "model_fields", {}))
