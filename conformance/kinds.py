"""What kind of thing is under test: a backend of this SDK, a Django engine, or a PEP 249 module."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .judged import JudgedTarget

__all__ = ["ADVISORY", "PROFILES", "can_be_judged", "default_profile", "kind_of", "load_judged"]

_LOADERS = {"sdk": "conformance.subject", "django": "conformance.django.target", "dbapi": "conformance.dbapi.subject"}

PROFILES: dict[str, tuple[str, ...]] = {
    "sdk": ("sdk",),
    "dbapi": ("dbapi",),
    "django": ("django", "strict"),
    "strict": ("django", "strict"),
}
"""Asked profile to those whose requirements are tried."""

ADVISORY: dict[str, frozenset[str]] = {"django": frozenset({"strict"})}
"""Asked profile to those whose findings are reported without being violations."""


def kind_of(target: str) -> str:
    """``django:my_engine`` is a Django engine, ``dbapi:sqlite3`` a PEP 249 module, all else of this SDK."""
    prefix, colon, _ = target.partition(":")
    return prefix if colon and prefix in _LOADERS and prefix != "sdk" else "sdk"


def default_profile(target: str) -> str:
    return kind_of(target)


def can_be_judged(target: str, profile: str) -> bool:
    """Whether *profile*'s requirements say anything about a target of that kind."""
    kinds = {"sdk": {"sdk", "dbapi"}, "dbapi": {"dbapi"}, "django": {"django"}, "strict": {"django"}}
    return kind_of(target) in kinds[profile]


def load_judged(name: str, base: Mapping[str, Any], profile: str = "") -> JudgedTarget:
    """The target of that name; what only one kind needs (Django) is imported only for it.

    Under the profile ``sdk`` a PEP 249 module is judged through the SDK's own backend for such modules.
    """
    kind = kind_of(name)
    if kind == "dbapi" and profile == "sdk":
        settings = importlib.import_module(_LOADERS[kind]).sdk_settings(name, base)
        name, base, kind = "dbapi", settings, "sdk"
    module = importlib.import_module(_LOADERS[kind])
    load = cast("Callable[[str, Mapping[str, Any]], JudgedTarget]", module.load_target)
    return load(name, base)
