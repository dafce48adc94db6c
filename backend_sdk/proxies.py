"""``connection`` and ``backend``: names that are imported once, and follow whoever uses them.

Source: Django ticket 17258.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from typing_extensions import override

from .backend import BaseBackend
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from .databases import AnyWrapper

__all__ = ["BackendProxy", "ConnectionProxy", "unwrapped"]


class Finds(Protocol):
    """What a proxy asks: `Connections`."""

    def __getitem__(self, alias: str, /) -> AnyWrapper: ...


class _Proxy:
    """Stands for something that differs by thread and scope; importable before anything is configured.

    Passes ``isinstance`` without resolving. Equal and hashed by its own identity, which never changes.
    """

    __slots__ = ("__weakref__", "_alias_", "_connections_")

    def __init__(self, connections: Finds, alias: str) -> None:
        object.__setattr__(self, "_connections_", connections)
        object.__setattr__(self, "_alias_", alias)

    def _resolve_(self) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        # Doctest, unittest.mock and pytest's collector probe any module-level object for these.
        if name in {"__wrapped__", "__test__", "__self__", "__func__", "pytestmark"} or name.startswith("__pytest"):
            raise AttributeError(name)
        return getattr(self._resolve_(), name)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._resolve_(), name, value)

    @override
    def __delattr__(self, name: str) -> None:
        delattr(self._resolve_(), name)

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._alias_!r}>"

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self!r} belongs to its process; import it where it is needed")


class ConnectionProxy(_Proxy):
    """Follows ``connections[alias]``."""

    __slots__ = ()

    @property
    def __class__(self) -> type:
        return DatabaseWrapper

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError(f"{self!r} stays what it is")

    @override
    def _resolve_(self) -> AnyWrapper:
        return self._connections_[self._alias_]  # type: ignore[no-any-return]  # set past __setattr__

    def cursor(self) -> Any:
        return self._connections_[self._alias_].cursor()


class BackendProxy(_Proxy):
    """Follows ``connections[alias].backend``."""

    __slots__ = ()

    @property
    def __class__(self) -> type:
        return BaseBackend

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError(f"{self!r} stays what it is")

    @override
    def _resolve_(self) -> BaseBackend[Any, Any, Any, Any]:
        return self._connections_[self._alias_].backend  # type: ignore[no-any-return]  # set past __setattr__


def unwrapped(wrapper: AnyWrapper) -> AnyWrapper:
    """What a proxy stands for: a slot that held the proxy would look itself up for ever."""
    return cast("Any", wrapper)._resolve_() if isinstance(wrapper, ConnectionProxy) else wrapper
