"""Alias to wrapper, here and now: ``connections[alias]`` is this thread's, or this task's, under the scope in force.

Sources: Django ticket 17258; the "multi-db" threads of the Django developers' list.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from weakref import ref

from typing_extensions import override

from . import local
from .backend import BaseBackend
from .errors import ImproperlyConfigured, ScopeError, UnknownAliasError, raise_together
from .local import current_task, current_token
from .protocols import Backend
from .release import Cache, adopt, retire, session_key, surrender
from .slots import NOBODYS, Layer, Place, Places, Slot, probe_tasks
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import ConnectionSettings

__all__ = [
    "DEFAULT_ALIAS", "BackendProxy", "ConnectionProxy", "Connections", "Databases", "Source", "backend", "configure",
    "connection", "connections", "raise_collected", "run_all", "run_in_background",
]  # fmt: skip

DEFAULT_ALIAS = "default"

ShapeT = TypeVar("ShapeT")

if TYPE_CHECKING:
    AnyWrapper = DatabaseWrapper[Any, Any]
    AnyBackend = Backend[Any, Any, Any]
    Source = Mapping[str, object] | str | ConnectionSettings | AnyBackend | AnyWrapper
    """What an alias may stand for: a mapping in Django's form, a URL, settings, a backend, or a wrapper to share."""
    AnySlot = Slot[AnyWrapper]
    AnyLayer = Layer[AnyWrapper]
    AnyPlace = Place[AnyWrapper, Cache]
else:
    Source = object

_UNCONFIGURED = "no databases are configured: call backend_sdk.configure({'default': ...}) or open a scope"

# True while a task runs anywhere; see `probe_tasks`. A module's global, for speed.
_tasks: Any = probe_tasks()


class Databases:
    """What each alias stands for. Frozen, safe to use from any thread; backends are made when first asked for.

    Make it once and open many scopes with it: a scope that is given a plain mapping builds its backends anew.
    """

    __slots__ = ("_backends", "_sources")

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)
        self._backends: dict[str, AnyBackend] = {}

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

    def shared(self, alias: str) -> AnyWrapper | None:
        """The wrapper that *alias* was given to stand for, if it was one."""
        source = self._sources.get(alias)
        return source if isinstance(source, DatabaseWrapper) else None

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


class Connections:
    """The wrappers of the present thread, or task, by alias: made when first asked for, of the databases in force.

    In force is the innermost scope's mapping, else what `configure` was given. A library makes a handler of its own;
    an application uses the module's, `connections`. Up to *cache_size* open sessions are kept by each thread from
    one scope to the next.
    """

    __slots__ = ("_base", "_context", "_here", "_places", "_require_scope", "cache_size", "clock")

    def __init__(
        self,
        databases: Mapping[str, Source] | Databases | None = None,
        *,
        require_scope: bool = False,
        cache_size: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        nowhere: AnySlot = Slot(None, NOBODYS)
        self._context: ContextVar[AnySlot] = ContextVar("backend_sdk_connections", default=nowhere)
        self._here = self._context.get
        self._places: Places[AnyWrapper, Cache] = Places()
        self._base: AnyLayer | None = None
        self._require_scope = require_scope
        self.cache_size = cache_size
        self.clock = clock
        if databases is not None:
            self.configure(databases, require_scope=require_scope)

    def configure(self, databases: Mapping[str, Source] | Databases, *, require_scope: bool = False) -> None:
        """Say what the aliases stand for outside of any scope, in every thread. What was made before is closed.

        With *require_scope* there is nothing outside of a scope: a lookup there is refused.
        """
        before = self._base
        self._require_scope = require_scope
        self._base = Layer(Databases.of(databases), is_base=True)
        if before is not None:
            errors: list[Exception] = []
            self.end(before, "the databases were configured anew", errors)
            raise_collected("closing what was configured before failed", errors)

    # The mapping

    def __getitem__(self, alias: str) -> AnyWrapper:
        slot = self._here()
        # A slot is copied with its context, into other threads and into tasks: neither may find anything in it.
        if slot.lock._is_owned() and not _tasks:
            try:
                return slot.wrappers[alias]
            except KeyError:
                pass
        return self._find(alias)

    def __setitem__(self, alias: str, wrapper: AnyWrapper) -> None:
        """Let *alias* stand for *wrapper* in this thread (or task), until the scope or the route ends."""
        if not isinstance(wrapper, DatabaseWrapper):
            raise TypeError(f"connections[{alias!r}] takes a DatabaseWrapper, not {type(wrapper).__qualname__}")
        for slot in self._slots_of(alias):
            slot.wrappers[alias] = _unwrapped(wrapper)

    def __delitem__(self, alias: str) -> None:
        """Forget this thread's wrapper; the next lookup makes another."""
        found = [slot.wrappers.pop(alias, None) for slot in self._slots_of(alias)]
        if not any(wrapper is not None for wrapper in found):
            raise unknown_alias(alias, self.slot().wrappers)

    def _slots_of(self, alias: str) -> Iterator[AnySlot]:
        """Where *alias* is looked up from here: a route over it hides what lies below."""
        for layer in self.layer().chain():
            yield self.slot(layer)
            if alias in layer.routes:
                return

    def __iter__(self) -> Iterator[str]:
        """Every alias that is configured, routed or assigned here."""
        layer = self.layer()
        names = dict.fromkeys(layer.databases)
        for each in layer.chain():
            names.update(dict.fromkeys(each.routes))
            names.update(dict.fromkeys(self.slot(each).wrappers))
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, alias: object) -> bool:
        return alias in list(iter(self))

    def all(self, initialized_only: bool = False) -> list[AnyWrapper]:
        """This thread's wrappers, each once; those not made yet are made, unless *initialized_only*."""
        found = [self.initialized(alias) if initialized_only else self[alias] for alias in self]
        return list({id(wrapper): wrapper for wrapper in found if wrapper is not None}.values())

    def close_all(self) -> None:
        """Close this thread's connections, every one even when one raises. What is another thread's is left alone."""
        errors: list[Exception] = []
        caller = current_token()
        for wrapper in self.all(initialized_only=True):
            try:
                if wrapper._ownership.token is caller:
                    wrapper.close()
            except Exception as error:
                errors.append(error)
        raise_collected("closing the connections failed", errors)

    def typed(self, shape: type[ShapeT]) -> ShapeT:
        """This handler, for a type checker, as the TypedDict *shape*::

        class Shape(TypedDict):
            default: DatabaseWrapper[sqlite3.Connection, SQLiteCursor]

        dbs = connections.typed(Shape)
        """
        return cast("ShapeT", self)

    @override
    def __repr__(self) -> str:
        return f"<Connections over {self._base.databases!r}>" if self._base is not None else "<Connections>"

    # Finding and making

    def layer(self) -> AnyLayer:
        """What is in force here. Raises `ScopeError` where a scope is required or the inherited one has ended."""
        layer = self._here().layer
        if layer is None or (layer.over and layer.top.is_base):
            layer = self._base
            if self._require_scope:
                self._refuse("no scope is in force here, and this handler serves nothing without one")
            if layer is None:
                raise ImproperlyConfigured(_UNCONFIGURED)
        elif layer.over:
            self._refuse("the scope that this context was copied from has ended")
        return layer

    def _refuse(self, why: str) -> NoReturn:
        raise ScopeError(
            f"{current_token().label}: {why}. A bare Thread or executor inherits no scope (Python copies no context "
            "there): hand it scope.bind(function), or open a scope in it with `with scope(databases):`"
        )

    def place(self) -> AnyPlace:
        """Where this thread, or task, keeps what is its own."""
        task = current_task()
        return self._places.here(task) or self._places.settle(task, Cache(self.cache_size, self.clock))

    def slot(self, layer: AnyLayer | None = None) -> AnySlot:
        """The present thread's, or task's, slot for *layer* (else for what is in force)."""
        return self.place().slot(layer or self.layer())

    def _find(self, alias: str) -> AnyWrapper:
        global _tasks
        if type(_tasks) is not dict:
            _tasks = probe_tasks()  # asyncio may have been imported by now
        layer = self.layer()
        place = self.place()
        if place.lock is not NOBODYS:
            self._context.set(place.slot(layer))
        return self.lookup(place, layer, alias)

    def lookup(self, place: AnyPlace, layer: AnyLayer, alias: str) -> AnyWrapper:
        """The wrapper that *place* has of *alias* under *layer*, made if there is none."""
        slot = place.slot(layer)
        wrapper = slot.wrappers.get(alias)
        if wrapper is None:
            wrapper = slot.wrappers[alias] = self._resolve(place, layer, slot, alias)
        return wrapper

    def _resolve(self, place: AnyPlace, layer: AnyLayer, slot: AnySlot, alias: str) -> AnyWrapper:
        if layer.parent is None:
            shared = layer.databases.shared(alias)
            return shared if shared is not None else self._make(place, slot, layer.databases.backend(alias), alias)
        target = layer.routes.get(alias, alias)
        if isinstance(target, str):
            return self.lookup(place, layer.parent, target)
        if isinstance(target, DatabaseWrapper):
            ownership = target._ownership
            if ownership.token is current_token() or ownership.shares:
                return target
            return self._make(place, slot, target.backend, alias)  # inherited from another thread: one of its own
        return self.make(layer, target.alias)

    def make(self, layer: AnyLayer, alias: str) -> AnyWrapper:
        """A wrapper besides the one of *alias*, with a session of its own; the end of *layer* will close it."""
        place = self.place()
        return self._make(place, place.slot(layer), layer.databases.backend(alias), alias, may_adopt=False)

    def _make(
        self, place: AnyPlace, slot: AnySlot, backend: AnyBackend, alias: str, *, may_adopt: bool = True
    ) -> AnyWrapper:
        """A new wrapper, which the end of *slot*'s layer will close. A session in the cache saves it the opening."""
        wrapper: AnyWrapper = DatabaseWrapper(backend, alias, clock=self.clock)
        if len(slot.made) >= 16:
            slot.made = [made for made in slot.made if made() is not None]
        slot.made.append(ref(wrapper))
        if slot.layer is not None and slot.layer.over:  # the scope ended meanwhile, and may have missed this one
            slot.empty()
            retire(wrapper, "its scope has ended")
            self._refuse("the scope has ended")
        if may_adopt and len(place.cache):
            parked = place.cache.take(session_key(wrapper.backend))
            if parked is not None:
                adopt(wrapper, parked)
        return wrapper

    def initialized(self, alias: str, layer: AnyLayer | None = None) -> AnyWrapper | None:
        """The wrapper of *alias* under *layer* (else what is in force), if this thread has one."""
        place = self._places.here(current_task())
        if place is None:
            return None
        for each in (layer or self.layer()).chain():
            slot = place.slots.get(each)
            if slot is not None and alias in slot.wrappers:
                return slot.wrappers[alias]
            target = each.routes.get(alias, alias)
            if not isinstance(target, str):
                return target if isinstance(target, DatabaseWrapper) else None
            alias = target
        return None

    # Layers: what `scope` and `routing` stand on

    @property
    def databases(self) -> Databases:
        """What the aliases stand for here: the scope's, else the configured ones. For a scope that is to begin."""
        layer = self._here().layer
        if layer is None or layer.top.is_base:
            layer = self._base
        if layer is None:
            raise ImproperlyConfigured(_UNCONFIGURED)
        if layer.over:
            self._refuse("the scope that this context was copied from has ended")
        return layer.databases  # type: ignore[no-any-return]  # the layer knows nothing of databases

    def in_force(self) -> AnyLayer | None:
        """The layer that this context carries, ended or not."""
        return self._here().layer

    def in_force_chain(self) -> Iterator[AnyLayer]:
        layer = self._here().layer
        return layer.chain() if layer is not None else iter(())

    def enter(self, layer: AnyLayer) -> AnySlot:
        """Put *layer* in force in this context; returns what `leave` restores."""
        before = self._here()
        self._context.set(layer.entry())
        return before

    def leave(self, before: AnySlot) -> None:
        """Restore by value: a token could not be reset in another context, and generators resume in any."""
        self._context.set(before)

    def under(self, layer: AnyLayer) -> Under:
        """A context manager that puts *layer* in force for its block."""
        return Under(self, layer)

    # What fails meanwhile is collected in one list that the caller empties: see `raise_collected`.

    def end(self, layer: AnyLayer, reason: str, errors: list[Exception]) -> None:
        """Release everything that was made under *layer*, in whatever thread.

        Under a running event loop, whatever may block is done in the background.
        """
        closers = self.release(layer, reason, errors)
        if current_task() is None:
            run_all(closers, errors)
        elif closers:
            run_in_background(closers)

    def release(self, layer: AnyLayer, reason: str, errors: list[Exception]) -> list[Callable[[], None]]:
        """As `end`, but the closing of what is not this thread's is left to the caller."""
        layer.ended = True
        closers: list[Callable[[], None]] = []
        if not layer.used:
            return closers
        task = current_task()
        place = self._places.here(task)
        for slot in layer.slots():
            mine = task is None and place is not None and slot.layer is not None and place.slots.get(slot.layer) is slot
            for wrapper in slot.take():
                try:
                    if mine and place is not None and wrapper._ownership.lock is None:
                        parked = surrender(wrapper, reason)
                        if parked is not None:
                            place.cache.put(parked)
                    else:
                        closer = retire(wrapper, reason)
                        if closer is not None:
                            closers.append(closer)
                except Exception as error:
                    errors.append(error)
        if place is not None:
            place.slots.pop(layer, None)
        return closers

    def forget_sessions(self) -> None:
        """Close the sessions that this thread keeps between scopes."""
        place = self._places.here(current_task())
        if place is not None:
            place.cache.clear()

    @property
    def kept_sessions(self) -> int:
        """How many open sessions this thread keeps between scopes."""
        place = self._places.here(current_task())
        return len(place.cache) if place is not None else 0


class Under:
    """``with connections.under(layer):``; reusable one after the other, not nested."""

    __slots__ = ("_before", "_connections", "_layer")

    def __init__(self, connections: Connections, layer: AnyLayer) -> None:
        self._connections = connections
        self._layer = layer
        self._before: AnySlot | None = None

    def __enter__(self) -> None:
        self._before = self._connections.enter(self._layer)

    def __exit__(self, *_: object) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._connections.leave(before)


def raise_collected(message: str, errors: list[Exception]) -> None:
    """`raise_together`, emptying *errors*: an error's traceback holds the frames that hold the list."""
    found = errors.copy()
    errors.clear()
    try:
        raise_together(message, found)
    finally:
        del found


def run_all(closers: list[Callable[[], None]], errors: list[Exception]) -> None:
    """Call each, whatever the others do."""
    while closers:  # emptied, so that nothing is held once it is closed
        try:
            closers.pop(0)()
        except Exception as error:
            errors.append(error)


def run_in_background(closers: list[Callable[[], None]], errors: list[Exception] | None = None) -> Any:
    """Run *closers* in the running loop's executor; returns a future. Without *errors*, those are logged, by class."""

    def run() -> None:
        found: list[Exception] = [] if errors is None else errors
        run_all(closers, found)
        if errors is None and found:
            import logging

            kinds = ", ".join(type(error).__name__ for error in found)
            found.clear()
            logging.getLogger("backend_sdk").warning("closing connections in the background failed: %s", kinds)

    loop: Any = local.running_loop()
    try:
        return loop.run_in_executor(None, run)
    except RuntimeError:  # the loop is shutting its executor down
        import threading

        threading.Thread(target=run, name="backend_sdk closing").start()
        return None


def _unwrapped(wrapper: AnyWrapper) -> AnyWrapper:
    """What a proxy stands for: a slot that held the proxy would look itself up for ever."""
    return cast("Any", wrapper)._resolve_() if isinstance(wrapper, ConnectionProxy) else wrapper


class _Proxy:
    """Stands for something that differs by thread and scope; importable before anything is configured.

    Passes ``isinstance`` without resolving. Equal and hashed by its own identity, which never changes.
    """

    __slots__ = ("__weakref__", "_alias_", "_connections_")

    def __init__(self, connections: Connections, alias: str) -> None:
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


connections = Connections()
"""The application's own handler."""

connection: DatabaseWrapper[Any, Any] = cast("Any", ConnectionProxy(connections, DEFAULT_ALIAS))
"""``connections["default"]`` of whoever uses it, at the time of use."""

backend: BaseBackend[Any, Any, Any, Any] = cast("Any", BackendProxy(connections, DEFAULT_ALIAS))
"""``connections["default"].backend`` of whoever uses it, at the time of use."""


def configure(databases: Mapping[str, Source] | Databases, *, require_scope: bool = False) -> None:
    """Say what the aliases of `connections` stand for, once, when the application starts."""
    connections.configure(databases, require_scope=require_scope)
