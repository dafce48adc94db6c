"""The same app under settings SA and SB at the same time, in real servers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import ASGIScope, Connections, Databases, WSGIScope
from reference_backends.sqlite3 import SQLiteSettings
from tests.connections.tenants import sqlite_tenant, tenant_name
from tests.core.fakes import PATIENCE
from tests.soak.counting import Count, CountedSQLite, ask_all, uvicorn_server, waitress_server

THREADS = 4


@pytest.fixture(name="count")
def make_count() -> Count:
    return Count()


@pytest.fixture(name="sites")
def make_sites(tmp_path: Path, count: Count) -> dict[str, Databases]:
    """SA and SB: one alias, two databases."""
    return {
        f"/{name}": Databases(
            {
                "default": CountedSQLite(
                    SQLiteSettings.from_mapping(sqlite_tenant(tmp_path, name, CONN_MAX_AGE=60)), count
                )
            }
        )
        for name in ("sa", "sb")
    }


def wrong(answers: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    return [answer for answer in answers if answer[1:] != (200, answer[0].lstrip("/"))]


def test_a_composite_configuration_served_by_a_threaded_server(tmp_path: Path) -> None:
    loadwsgi = pytest.importorskip("paste.deploy.loadwsgi")
    pytest.importorskip("waitress")
    ini = Path(__file__).parents[2] / "examples" / "wsgi_two_tenants" / "two_tenants.ini"
    app = loadwsgi.loadapp(f"config:{ini}", global_conf={"folder": str(tmp_path)})
    paths = [f"/{site}?name={site}{number}" for number in range(40) for site in "ab"]
    with waitress_server(app, THREADS) as port:
        answers = ask_all(port, paths, clients=THREADS)
    assert {status for _, status, _ in answers} == {200}
    for site in "ab":
        with closing(sqlite3.connect(tmp_path / f"{site}.db")) as raw:
            names = sorted(name for (name,) in raw.execute("SELECT name FROM visit"))
        assert names == sorted(f"{site}{number}" for number in range(40))
    assert all(line.startswith(path[1]) for path, _, body in answers for line in body.splitlines())


def test_wsgi_requests_for_both_sites_at_the_same_time_and_in_every_thread(
    sites: dict[str, Databases], count: Count
) -> None:
    pytest.importorskip("waitress")
    handler = Connections()
    meet = threading.Barrier(2, timeout=PATIENCE)
    served: Counter[tuple[str, str]] = Counter()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        meet.wait()  # so that a request for each site is being served now, in two threads
        name = tenant_name(handler)
        meet.wait()
        served[threading.current_thread().name, name] += 1
        start_response("200 OK", [])
        return [tenant_name(handler).encode()]

    shells = {path: WSGIScope(app, databases, connections=handler) for path, databases in sites.items()}
    with waitress_server(lambda environ, start: shells[environ["PATH_INFO"]](environ, start), threads=2) as port:
        answers = ask_all(port, ["/sa", "/sb"] * 30, clients=2)
    assert wrong(answers) == []
    assert len(answers) == 60
    assert sum(served.values()) == 60
    assert count.most <= 2 * 2
    assert count.open == 0


def test_a_wsgi_client_that_disconnects_leaves_nothing_open(sites: dict[str, Databases], count: Count) -> None:
    pytest.importorskip("waitress")
    handler = Connections()
    ended = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            while True:
                yield tenant_name(handler).encode() * 10_000
        finally:
            ended.set()

    with waitress_server(WSGIScope(app, sites["/sa"], connections=handler), threads=1) as port:
        client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/sa")
        assert client.getresponse().read(10).startswith(b"sasa")
        client.close()
        assert ended.wait(PATIENCE)
    assert count.opened == 1
    assert count.open == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("way", ["starlette", "sync_to_async", "to_thread"])
def test_asgi_endpoints_in_worker_threads(sites: dict[str, Databases], count: Count, way: str, loop: str) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip(loop)
    handler = Connections()
    endpoint = asgi_endpoint(handler, way)
    shells = {path: ASGIScope(endpoint, databases, connections=handler) for path, databases in sites.items()}

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await shells[scope["path"]](scope, receive, send)

    with uvicorn_server(dispatch, loop) as port:
        answers = ask_all(port, ["/sa", "/sb"] * 30, clients=THREADS)
    assert wrong(answers) == []
    assert len(answers) == 60
    assert count.opened > 0
    assert count.open == 0


async def lifespan(receive: Any, send: Any) -> None:
    for phase in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{phase}"
        await send({"type": f"lifespan.{phase}.complete"})


def asgi_endpoint(handler: Connections, way: str) -> Any:
    if way == "starlette":
        applications = pytest.importorskip("starlette.applications")
        responses = pytest.importorskip("starlette.responses")
        routing = pytest.importorskip("starlette.routing")

        def view(request: Any) -> Any:  # starlette runs it in a worker thread
            return responses.PlainTextResponse(tenant_name(handler))

        return applications.Starlette(routes=[routing.Route("/{site}", view)])

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        if way == "to_thread":
            name = await asyncio.to_thread(tenant_name, handler)
        else:
            name = await pytest.importorskip("asgiref.sync").sync_to_async(tenant_name)(handler)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return endpoint
