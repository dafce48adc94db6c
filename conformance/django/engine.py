"""The engine that is judged, and who wrote what of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..blame import is_author_file

__all__ = ["Engine", "is_stock"]


@dataclass(frozen=True)
class Engine:
    """The engine's `DatabaseWrapper`, its name as ENGINE, and the settings that Django was configured with."""

    name: str
    engine: str
    cls: type[Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    support: object = None

    def is_authors(self, cls: type) -> bool:
        """Django's engines are the author's own where Django's engine is the target."""
        if self.engine.startswith("django."):
            return cls.__module__.startswith("django.")
        return cls is not object and not cls.__module__.startswith("django.")

    def author_files(self) -> set[str]:
        """Every file of the packages that the wrapper's classes are from, Django's own base aside."""
        packages = {cls.__module__.partition(".")[0] for cls in self.cls.__mro__ if self.is_authors(cls)}
        files = (
            getattr(module, "__file__", None)
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in packages
        )
        return {file for file in files if file is not None and is_author_file(file)}

    def definer(self, method: str) -> type[Any]:
        return next((cls for cls in self.cls.__mro__ if method in vars(cls)), object)

    def blamed(self, methods: Iterable[str], profile: str) -> tuple[str, str]:
        """The first of *methods* that the author has written; else Django's, which is inherited.

        Django's own engines meet Django's own contract: where an author's does not, and he has overridden
        anything at all, it is not inherited. The stricter contract they break by themselves.
        """
        found = [(name, self.definer(name)) for name in methods]
        for name, cls in found:
            if self.is_authors(cls):
                return _place(vars(cls)[name]), ""
        if profile != "strict" and self._overrides_something():
            return "", ""
        for name, cls in found:
            if cls is not object:
                return _place(vars(cls)[name]), f"{cls.__module__}.{cls.__qualname__}"
        return "", ""

    def _overrides_something(self) -> bool:
        own = {name for cls in self.cls.__mro__ if self.is_authors(cls) for name in vars(cls)}
        return bool(own - {"__module__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__"})


def is_stock(cls: type) -> bool:
    """Whether it is of one of Django's engines, and not of the base that they share."""
    return cls.__module__.startswith("django.") and not cls.__module__.startswith("django.db.backends.base.")


def _place(member: Any) -> str:
    found: Any = member.fget if isinstance(member, property) else getattr(member, "func", member)
    function: Any = inspect.unwrap(getattr(found, "__func__", found))
    try:
        return f"{inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (TypeError, OSError):
        return ""
