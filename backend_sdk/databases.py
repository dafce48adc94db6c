"""What each alias stands for, and what it may be given to stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from .backend import BaseBackend
from .errors import UnknownAliasError
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .protocols import Backend
    from .settings import ConnectionSettings

__all__ = ["DEFAULT_ALIAS", "Databases", "Source", "unknown_alias"]

DEFAULT_ALIAS = "default"

if TYPE_CHECKING:
    AnyWrapper = DatabaseWrapper[Any, Any]
    AnyBackend = Backend[Any, Any, Any]
    Source = Mapping[str, object] | str | ConnectionSettings | AnyBackend | AnyWrapper
    """What an alias may stand for: a mapping in Django's form, a URL, settings, a backend, or a wrapper to share."""
else:
    Source = object


class Databases:
    """What each alias stands for. Frozen, safe to use from any thread; backends are made when first asked for.

    Make it once and open many scopes with it: a scope that is given a plain mapping builds its backends anew.
    """

    __slots__ = ("_backends", "_sources", "shared")

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)
        self._backends: dict[str, AnyBackend] = {}
        self.shared: Mapping[str, AnyWrapper] = {
            alias: source for alias, source in self._sources.items() if isinstance(source, DatabaseWrapper)
        }
        """The wrappers that aliases were given to stand for."""

    @classmethod
    def of(cls, sources: Mapping[str, Source] | Databases) -> Databases:
        return sources if isinstance(sources, Databases) else cls(sources)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, alias: object) -> bool:
        return alias in self._sources

    def with_(self, sources: Mapping[str, Source]) -> Databases:
        """The same with *sources* laid over."""
        return Databases({**self._sources, **sources})

    def backend(self, alias: str) -> AnyBackend:
        """The backend of *alias*. Raises `UnknownAliasError`, `ImproperlyConfigured`."""
        made = self._backends.get(alias)
        if made is None:
            # Two threads may both get here; setdefault lets one backend win.
            made = self._backends.setdefault(alias, self._make(alias))
        return made

    def _make(self, alias: str) -> AnyBackend:
        source = self._sources.get(alias)
        if source is None:
            raise unknown_alias(alias, self._sources)
        if isinstance(source, DatabaseWrapper):
            return source.backend
        if isinstance(source, BaseBackend):
            return cast("AnyBackend", source)
        from .backend import missing_members

        if not missing_members(source):  # a structural one
            return cast("AnyBackend", source)
        from .registry import make_backend

        return make_backend(cast("Any", source), alias=alias)

    @override
    def __repr__(self) -> str:
        return f"<Databases {', '.join(self._sources)}>"


def unknown_alias(alias: str, known: Mapping[str, object]) -> UnknownAliasError:
    from ._explain import nearest

    return UnknownAliasError(f"there is no database {alias!r} here; {nearest(str(alias), known)}")
