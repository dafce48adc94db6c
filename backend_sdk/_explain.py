"""Settings errors for people: the key, the place, the nearest right name; never a value."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

from .errors import ImproperlyConfigured, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel, ValidationError

__all__ = ["nearest", "refuse_unknown_keys", "settings_error"]


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'X'?`` for the nearest of *known*, whatever its case; else all of them named."""
    names = {candidate.casefold(): candidate for candidate in sorted(known)}
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {names[close[0]]!r}?"
    return f"known: {', '.join(names.values())}" if names else "none is taken here"


def refuse_unknown_keys(mapping: Mapping[str, object], known: list[str], alias: str) -> None:
    """Raise `ImproperlyConfigured` if any key of *mapping* is not among *known*."""
    problems = [f"unknown key {key!r}; {nearest(str(key), known)}" for key in mapping if key not in known]
    if problems:
        raise ImproperlyConfigured(f"settings of {alias!r}: " + "; ".join(problems))


def settings_error(
    cls: type[BaseModel], error: ValidationError, place: str, secrets: Iterable[str], *, upper: bool
) -> ImproperlyConfigured:
    """All problems of *error*, one phrase each. Pydantic's own text could repeat a secret."""
    hidden = list(secrets)
    problems = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        message = item["msg"]
        if item["type"] in {"value_error", "assertion_error"}:
            message = without(message.split(", ", 1)[1], hidden)
        problems.append(_problem(cls, item["loc"], item["type"], message, upper=upper))
    return ImproperlyConfigured(f"settings of {place!r}: " + "; ".join(dict.fromkeys(problems)))


def _problem(cls: type[BaseModel], loc: tuple[int | str, ...], kind: str, message: str, *, upper: bool) -> str:
    path = [str(part) for part in loc if not _is_union_branch(part)]
    if upper and path:
        path[0] = path[0].upper()
    where = ".".join(path)
    if kind == "extra_forbidden":
        known = _fields_at(cls, loc[:-1])
        if upper and len(path) == 1:
            known = [name.upper() for name in known]
        return f"unknown key {where!r}; {nearest(path[-1], known)}"
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message


def _is_union_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union that it tried (``int``, ``tuple[int, ...]``): no key of the user's."""
    return isinstance(part, str) and ("[" in part or "(" in part or part in {"int", "str", "float", "bool", "none"})


def _fields_at(cls: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    model: Any = cls
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = getattr(field, "annotation", None)
        model = next((one for one in (annotation, *get_args(annotation)) if hasattr(one, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))
