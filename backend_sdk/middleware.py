"""WSGI and ASGI shells over `scope` and `route_connections`: one scope per request, held until its last byte.

Sources: PEP 3333; the ASGI specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connections import Connections, connections
from .databases import Databases
from .errors import ImproperlyConfigured
from .routing import route_connections
from .scope import Scope, Scopes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
    from contextlib import AbstractContextManager

    from .databases import Source
    from .routing import Route, Target

    WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
    ASGIApp = Callable[
        [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
    ]

__all__ = ["ASGIRoute", "ASGIScope", "WSGIRoute", "WSGIScope", "atomic_requests"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class WSGIScope:
    """Serves each request of *app* under a scope over *databases* (else over those in force where it is called).

    The scope is in force while *app* or its response's body runs, and ends when the server closes the response. An
    alias with ATOMIC_REQUESTS is in a transaction until the first byte of the body is ready: committed then,
    unless *app* raised or answered with a status of 500 or more.
    """

    def __init__(
        self,
        app: WSGIApp,
        databases: Mapping[str, Source] | Databases | None = None,
        *,
        connections: Connections = connections,
    ) -> None:
        self._app = app
        self._databases = Databases.of(databases) if databases is not None else None
        self._connections = connections
        self._scopes = Scopes(connections)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        scope = self._scopes(self._databases)
        scope.begin()
        try:
            with scope.step():
                return self._respond(scope, environ, start_response)
        except BaseException:
            scope.end()
            raise

    def _respond(self, scope: Scope, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        statuses: list[str] = []

        def noting(status: str, headers: Any, *error: Any) -> Any:
            statuses.append(status)
            return start_response(status, headers, *error)

        blocks = _atomic_blocks(self._connections, scope.databases)
        if not blocks:
            return _body(self._app(environ, start_response), scope)
        with _Together(blocks) as together:
            answer = self._app(environ, noting)
            try:
                body = iter(answer)
                first = next(body, None)  # a generator's own code runs only now
            except BaseException:
                _close(answer)
                raise
            together.failed = bool(statuses) and statuses[-1][:1] == "5"
        return _body(answer, scope, _chain(first, body))


def _close(answer: object) -> None:
    close = getattr(answer, "close", None)
    if close is not None:
        close()


def _chain(first: bytes | None, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first is not None:
        yield first
        yield from rest


def _body(answer: Iterable[bytes], scope: Scope, chunks: Iterator[bytes] | None = None) -> _Body:
    return (_SizedBody if hasattr(answer, "__len__") else _Body)(answer, scope, chunks)


class _Body:
    """The response's body: each step runs under the scope, and ``close()`` ends it."""

    def __init__(self, answer: Iterable[bytes], scope: Scope, chunks: Iterator[bytes] | None) -> None:
        self._answer = answer
        self._chunks = chunks
        self._scope = scope

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._scope.step():
            if self._chunks is None:
                self._chunks = iter(self._answer)
            return next(self._chunks)

    def close(self) -> None:
        try:
            with self._scope.step():
                _close(self._answer)
        finally:
            self._chunks = None
            self._scope.end()


class _SizedBody(_Body):
    def __len__(self) -> int:
        """Servers set Content-Length by it."""
        return len(self._answer)  # type: ignore[arg-type]  # made only where the answer has a length


class _Together:
    """Several ``atomic()`` blocks as one; all are rolled back when it has *failed*."""

    def __init__(self, blocks: list[AbstractContextManager[object]]) -> None:
        self._blocks = blocks
        self._open: list[AbstractContextManager[object]] = []
        self.failed = False

    def __enter__(self) -> _Together:
        try:
            for block in self._blocks:
                block.__enter__()
                self._open.append(block)
        except BaseException as error:
            self._leave(type(error), error)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None and self.failed:
            kind, error = _Failed, None
        self._leave(kind, error)

    def _leave(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        failures: list[BaseException] = []
        while self._open:
            try:
                self._open.pop().__exit__(kind, error, None)
            except BaseException as failure:  # the others are not committed either
                kind, error = type(failure), failure
                failures.append(failure)
        if failures:
            raise failures[0]


class _Failed(Exception):
    """Tells ``atomic()`` to roll back; never raised."""


def _atomic_blocks(handler: Connections, databases: Databases) -> list[AbstractContextManager[object]]:
    # A wrapper that stands for an alias is lent by another thread, and only its owner opens blocks.
    aliases = [
        alias
        for alias in databases
        if databases.backend(alias).settings.atomic_requests and alias not in databases.shared
    ]
    wrappers = {id(wrapper): wrapper for wrapper in (handler[alias] for alias in aliases)}
    return [wrapper.atomic() for wrapper in wrappers.values()]


class ASGIScope:
    """Serves each request, websocket and lifespan of *app* under a scope of its own, until *app* returns.

    That is after the last byte and the background tasks, and also when the client has gone or the server cancels.
    Nothing blocks the event loop: connections of worker threads are closed in the background.

    ATOMIC_REQUESTS cannot be had from outside here: the transaction belongs to the thread in which the endpoint runs.
    Settings that ask for it are refused, unless *atomic_requests* is ``"endpoints"``: the endpoints see to it.
    """

    def __init__(
        self,
        app: ASGIApp,
        databases: Mapping[str, Source] | Databases | None = None,
        *,
        connections: Connections = connections,
        atomic_requests: str | None = None,
    ) -> None:
        self._app = app
        self._databases = Databases.of(databases) if databases is not None else None
        self._scopes = Scopes(connections)
        self._endpoints_see_to_it = atomic_requests == "endpoints"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        mine = self._scopes(self._databases)
        self._check(mine.databases)
        async with mine:
            await self._app(scope, receive, send)

    def _check(self, databases: Databases) -> None:
        if self._endpoints_see_to_it:
            return
        for alias in databases:
            if databases.backend(alias).settings.atomic_requests:
                raise ImproperlyConfigured(
                    f"ATOMIC_REQUESTS on {alias!r}: an ASGI shell cannot open a transaction in the thread that runs "
                    "the endpoint. Decorate the endpoints with @atomic_requests and say "
                    "ASGIScope(..., atomic_requests='endpoints'), or leave it out"
                )


class _Routing:
    """Which route a request takes by its method."""

    def __init__(
        self, app: Any, reads: Mapping[str, Target] | None, writes: Mapping[str, Target] | None,
        *, connections: Connections = connections, safe_methods: Iterable[str] = SAFE_METHODS,
    ) -> None:  # fmt: skip
        self._app = app
        self._safe = frozenset(safe_methods)
        self._reads = route_connections(reads, connections=connections) if reads else None
        self._writes = route_connections(writes, connections=connections) if writes else None

    def _route(self, method: str) -> Route | None:
        return self._reads if method in self._safe else self._writes


class WSGIRoute(_Routing):
    """Routes by the request's method: with ``reads={"default": "replica"}`` only writes go to the primary.

    Goes inside `WSGIScope`. *safe_methods* are those that *reads* is for; *writes* is for all others, "or just POST".
    """

    def __init__(
        self, app: WSGIApp, reads: Mapping[str, Target] | None = None, writes: Mapping[str, Target] | None = None,
        *, connections: Connections = connections, safe_methods: Iterable[str] = SAFE_METHODS,
    ) -> None:  # fmt: skip
        super().__init__(app, reads, writes, connections=connections, safe_methods=safe_methods)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        route = self._route(environ.get("REQUEST_METHOD", "GET"))
        if route is None:
            return self._app(environ, start_response)  # type: ignore[no-any-return]  # whatever app is
        return route(_closing)(self._app, environ, start_response)


def _closing(app: WSGIApp, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """As a generator, so that the route is in force at each step and at no other time."""
    answer = app(environ, start_response)
    try:
        yield from answer
    finally:
        _close(answer)


class ASGIRoute(_Routing):
    """As `WSGIRoute`, for ASGI; websockets and lifespan take no route. Goes inside `ASGIScope`."""

    def __init__(
        self, app: ASGIApp, reads: Mapping[str, Target] | None = None, writes: Mapping[str, Target] | None = None,
        *, connections: Connections = connections, safe_methods: Iterable[str] = SAFE_METHODS,
    ) -> None:  # fmt: skip
        super().__init__(app, reads, writes, connections=connections, safe_methods=safe_methods)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        route = self._route(scope["method"]) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        with route:
            await self._app(scope, receive, send)


def atomic_requests(function: Any, *, connections: Connections = connections) -> Any:
    """Decorates a synchronous endpoint: each alias with ATOMIC_REQUESTS is in a transaction while it runs."""
    from functools import wraps
    from inspect import iscoroutinefunction

    if iscoroutinefunction(function):
        raise TypeError(
            f"@atomic_requests on {function.__qualname__}: a transaction belongs to one thread; do the work in a "
            "synchronous function, decorate that, and call it through asyncio.to_thread"
        )

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with _Together(_atomic_blocks(connections, connections.layer().databases)):
            return function(*args, **options)

    return call
