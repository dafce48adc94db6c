"""The WSGI and ASGI shells: the scope is held until the last byte, and let go of whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from backend_sdk import (
    ASGIRoute,
    ASGIScope,
    Connections,
    Databases,
    DatabaseWrapper,
    ImproperlyConfigured,
    IntegrityError,
    ScopeError,
    WSGIRoute,
    WSGIScope,
    atomic_requests,
)
from tests.connections.tenants import tenant
from tests.core.fakes import Driver


@pytest.fixture(name="driver")
def make_driver() -> Driver:
    return Driver()


@pytest.fixture(name="handler")
def make_handler() -> Connections:
    return Connections()


@pytest.fixture(name="databases")
def make_databases(driver: Driver) -> Databases:
    return Databases({"default": tenant(driver, "a"), "replica": tenant(driver, "b")})


def named(handler: Connections) -> bytes:
    handler["default"].connect()
    return handler["default"].settings.name.encode()


def started(status: str, headers: Any, *error: Any) -> Callable[[bytes], object]:
    return lambda data: None


def call(app: Any, method: str = "GET") -> Iterable[bytes]:
    answer: Iterable[bytes] = app({"REQUEST_METHOD": method}, started)
    return answer


def close(answer: Iterable[bytes]) -> None:
    answer.close()  # type: ignore[attr-defined]  # every answer of ours has it


def test_the_app_runs_under_the_scope_and_nothing_is_left(
    handler: Connections, databases: Databases, driver: Driver
) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [named(handler)]

    answer = call(WSGIScope(app, databases, connections=handler))
    assert len(driver.open_connections) == 1
    assert len(answer) == 1  # type: ignore[arg-type]  # servers set Content-Length by it
    assert list(answer) == [b"a"]
    close(answer)
    assert driver.open_connections == []


def test_between_the_steps_of_a_streaming_body_the_scope_is_not_in_force(
    handler: Connections, databases: Databases, driver: Driver
) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(2):
            yield named(handler)

    one = call(WSGIScope(app, databases, connections=handler))
    two = call(WSGIScope(app, {"default": tenant(driver, "c")}, connections=handler))
    chunks = []
    for first, second in zip(one, two, strict=True):  # one thread serves both in turns
        chunks += [first, second]
        with pytest.raises(ImproperlyConfigured):
            handler["default"]
    assert chunks == [b"a", b"c"] * 2
    close(one)
    close(two)
    assert driver.open_connections == []


def test_a_client_that_leaves_in_the_middle_releases_everything(
    handler: Connections, databases: Databases, driver: Driver
) -> None:
    closed: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield named(handler)
        finally:
            closed.append(named(handler))  # the body's own clean-up still has its database

    answer = call(WSGIScope(app, databases, connections=handler))
    assert next(iter(answer)) == b"a"
    close(answer)
    assert closed == [b"a"]
    assert driver.open_connections == []


def test_a_body_whose_close_fails_is_released_all_the_same(
    handler: Connections, databases: Databases, driver: Driver
) -> None:
    class Body(list[bytes]):
        def close(self) -> None:
            raise LookupError

    def app(environ: Any, start_response: Any) -> Body:
        return Body([named(handler)])

    answer = call(WSGIScope(app, databases, connections=handler))
    with pytest.raises(LookupError):
        close(answer)
    assert driver.open_connections == []


def test_an_app_that_raises_is_released(handler: Connections, databases: Databases, driver: Driver) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        named(handler)
        raise LookupError

    with pytest.raises(LookupError):
        call(WSGIScope(app, databases, connections=handler))
    assert driver.open_connections == []


def atomic(driver: Driver) -> Databases:
    return Databases({"default": tenant(driver, "a", atomic_requests=True), "other": tenant(driver, "b")})


def last_transaction(driver: Driver) -> list[str]:
    return [step for step in driver.log if step in {"begin", "commit", "rollback"}]


@pytest.mark.parametrize(("status", "end"), [("200 OK", "commit"), ("404 Not Found", "commit"), ("500 No", "rollback")])
@pytest.mark.parametrize("streamed", [False, True])
def test_atomic_requests_end_as_the_status_says(
    handler: Connections, driver: Driver, status: str, end: str, streamed: bool
) -> None:
    def listed(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [])
        assert handler["default"].in_atomic_block
        return [b"one", b"two"]

    def generated(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from listed(environ, start_response)

    answer = call(WSGIScope(generated if streamed else listed, atomic(driver), connections=handler))
    assert last_transaction(driver) == ["begin", end], "before any byte is sent"
    assert list(answer) == [b"one", b"two"]
    close(answer)
    assert driver.open_connections == []


def test_atomic_requests_roll_back_when_the_app_raises(handler: Connections, driver: Driver) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        raise LookupError
        yield b""

    with pytest.raises(LookupError):
        call(WSGIScope(app, atomic(driver), connections=handler))
    assert last_transaction(driver) == ["begin", "rollback"]
    assert driver.open_connections == []


def test_a_commit_that_fails_fails_the_request(handler: Connections, driver: Driver) -> None:
    driver.plan("commit", driver.IntegrityError("deferred"))
    with pytest.raises(IntegrityError, match="deferred"):
        call(WSGIScope(lambda environ, start: [b"fine"], atomic(driver), connections=handler))
    assert driver.open_connections == []


@pytest.mark.parametrize(
    ("method", "name"), [("GET", b"b"), ("HEAD", b"b"), ("POST", b"a"), ("PUT", b"a"), ("DELETE", b"a")]
)
def test_reads_go_to_the_replica(handler: Connections, databases: Databases, method: str, name: bytes) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [named(handler)]

    routed = WSGIRoute(app, reads={"default": "replica"}, connections=handler)
    answer = call(WSGIScope(routed, databases, connections=handler), method)
    assert list(answer) == [name]
    close(answer)


def test_or_just_for_post(handler: Connections, databases: Databases) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return [named(handler)]

    routed = WSGIRoute(app, writes={"default": "replica"}, safe_methods={"GET", "PUT"}, connections=handler)
    shell = WSGIScope(routed, databases, connections=handler)
    assert [list(call(shell, method)) for method in ("GET", "PUT", "POST")] == [[b"a"], [b"a"], [b"b"]]


# ASGI


def serve(app: Any, scope: dict[str, Any] | None = None) -> list[Any]:
    """Everything that *app* sends for one request."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope or {"type": "http", "method": "GET"}, receive, send))
    return sent


def test_asgi_holds_the_scope_until_the_background_tasks_are_done(
    handler: Connections, databases: Databases, driver: Driver
) -> None:
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": await asyncio.to_thread(named, handler)})
        seen.append(len(driver.open_connections))
        seen.append(await asyncio.to_thread(named, handler))  # a background task, after the last byte

    assert serve(ASGIScope(app, databases, connections=handler))[0]["body"] == b"a"
    assert seen == [1, b"a"]
    assert driver.open_connections == []


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "http"])
def test_asgi_serves_every_kind_under_a_scope(
    handler: Connections, databases: Databases, driver: Driver, kind: str
) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await asyncio.to_thread(named, handler))

    serve(ASGIScope(app, databases, connections=handler), {"type": kind, "method": "GET"})
    assert seen == [b"a"]
    assert driver.open_connections == []


def test_asgi_releases_when_the_server_cancels(handler: Connections, databases: Databases, driver: Driver) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(named, handler)
        asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        serve(ASGIScope(app, databases, connections=handler))
    assert len(driver.connections) == 1
    assert driver.open_connections == []


def test_a_task_left_behind_by_a_request_is_refused(handler: Connections, databases: Databases) -> None:
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def late() -> DatabaseWrapper[Any, Any]:
            await left.wait()
            return handler["default"]

        left = asyncio.Event()
        tasks.append((asyncio.create_task(late()), left))

    async def main() -> None:
        await ASGIScope(app, databases, connections=handler)({"type": "http", "method": "GET"}, None, None)
        task, left = tasks[0]
        left.set()
        with pytest.raises(ScopeError, match="has ended"):
            await task

    asyncio.run(main())


@pytest.mark.parametrize(("method", "name"), [("GET", b"b"), ("POST", b"a")])
def test_asgi_routes_by_method_into_worker_threads(
    handler: Connections, databases: Databases, method: str, name: bytes
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(await asyncio.to_thread(named, handler))

    routed = ASGIRoute(app, reads={"default": "replica"}, connections=handler)
    assert serve(ASGIScope(routed, databases, connections=handler), {"type": "http", "method": method}) == [name]


def test_asgi_refuses_atomic_requests_that_nobody_sees_to(handler: Connections, driver: Driver) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("it must not be served")

    with pytest.raises(ImproperlyConfigured, match="@atomic_requests"):
        serve(ASGIScope(app, atomic(driver), connections=handler))


def test_endpoints_see_to_their_transactions_themselves(handler: Connections, driver: Driver) -> None:
    def endpoint() -> bool:
        return handler["default"].in_atomic_block

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(await asyncio.to_thread(atomic_requests(endpoint, connections=handler)))

    shell = ASGIScope(app, atomic(driver), connections=handler, atomic_requests="endpoints")
    assert serve(shell) == [True]
    assert last_transaction(driver) == ["begin", "commit"]


def test_a_coroutine_cannot_be_an_atomic_endpoint() -> None:
    async def endpoint() -> None: ...

    with pytest.raises(TypeError, match="one thread"):
        atomic_requests(endpoint)
