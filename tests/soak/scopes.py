"""``python -m tests.soak.scopes``: real servers, two sites, many requests; nobody may be served the other's database.

Prints, for WSGI and for ASGI: answers from the wrong database, the most connections ever open against threads x
databases, and what is left after the shutdown. Exits with 1 unless all three are as they must be.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from backend_sdk import ASGIScope, Connections, Databases, WSGIScope
from reference_backends.sqlite3 import SQLiteSettings
from tests.soak.counting import Count, CountedSQLite, ask_all, uvicorn_server, waitress_server

SITES = ("sa", "sb")


def make_databases(folder: Path, name: str, count: Count) -> Databases:
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE tenant (name TEXT)")
        raw.execute("INSERT INTO tenant VALUES (?)", (name,))
    return Databases({"default": CountedSQLite(SQLiteSettings(name=str(path), conn_max_age=60), count)})


def tenant_name(handler: Connections) -> str:
    with handler["default"].cursor() as cursor:
        cursor.execute("SELECT name FROM tenant")
        return str(cursor.fetchone()[0])


def soak_wsgi(requests: int, threads: int) -> bool:
    handler, count = Connections(), Count()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield tenant_name(handler).encode()
        yield b" "
        yield tenant_name(handler).encode()  # streamed: the scope is left and entered again in between

    with tempfile.TemporaryDirectory() as folder:
        shells = {
            f"/{name}": WSGIScope(app, make_databases(Path(folder), name, count), connections=handler) for name in SITES
        }

        def dispatch(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            return shells[environ["PATH_INFO"]](environ, start_response)

        paths = [f"/{SITES[number % 2]}" for number in range(requests)]
        started = time.monotonic()
        with waitress_server(dispatch, threads) as port:
            answers = ask_all(port, paths, clients=threads)
        seconds = time.monotonic() - started
    wrong = [answer for answer in answers if answer[1:] != (200, f"{answer[0][1:]} {answer[0][1:]}")]
    return report("WSGI", requests, answers, wrong, count, threads, seconds)


def soak_asgi(requests: int, threads: int) -> bool:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    handler, count = Connections(), Count()

    def view(request: Any) -> PlainTextResponse:  # synchronous: starlette runs it in a worker thread
        return PlainTextResponse(tenant_name(handler))

    inner = Starlette(routes=[Route("/{site}", view)])
    with tempfile.TemporaryDirectory() as folder:
        databases = {name: make_databases(Path(folder), name, count) for name in SITES}
        shells = {f"/{name}": ASGIScope(inner, databases[name], connections=handler) for name in SITES}

        async def dispatch(scope: Any, receive: Any, send: Any) -> None:
            shell: Any = inner if scope["type"] == "lifespan" else shells[scope["path"]]
            await shell(scope, receive, send)

        paths = [f"/{SITES[number % 2]}" for number in range(requests)]
        started = time.monotonic()
        gc.disable()
        try:
            with uvicorn_server(dispatch) as port:
                answers = ask_all(port, paths, clients=threads)
            left = count.open
        finally:
            gc.enable()
        seconds = time.monotonic() - started
    assert left == count.open, "the collector had to help"
    wrong = [answer for answer in answers if answer[1:] != (200, answer[0][1:])]
    return report("ASGI", requests, answers, wrong, count, 40, seconds)  # starlette's worker threads


def report(
    kind: str, requests: int, answers: list[Any], wrong: list[Any], count: Count, threads: int, seconds: float
) -> bool:
    limit = threads * len(SITES)
    print(
        f"{kind}: {len(answers)} of {requests} requests over SA/SB in {seconds:.1f} s: "
        f"{len(wrong)} answers from the wrong database, at most {count.most} connections open "
        f"(limit {limit} = {threads} threads x {len(SITES)} databases), {count.opened} opened in all, "
        f"{count.open} left after shutdown",
        flush=True,
    )
    return not wrong and len(answers) == requests and count.most <= limit and count.open == 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wsgi", type=int, default=10_000, help="requests to the WSGI server")
    parser.add_argument("--asgi", type=int, default=2_000, help="requests to the ASGI server")
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args(arguments)
    fine = [soak_wsgi(options.wsgi, options.threads), soak_asgi(options.asgi, options.threads)]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
