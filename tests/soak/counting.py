"""A SQLite backend that counts what is open, and real servers in other threads to try it under."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from typing_extensions import override

from reference_backends.sqlite3 import SQLiteBackend, SQLiteParams, SQLiteSettings


class Count:
    """How many connections are open, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = self.most = self.opened = 0

    def change(self, by: int) -> None:
        with self._lock:
            self.open += by
            self.most = max(self.most, self.open)
            self.opened += max(by, 0)


class CountedSQLite(SQLiteBackend[SQLiteSettings]):
    def __init__(self, settings: SQLiteSettings, count: Count) -> None:
        super().__init__(settings)
        self.count = count

    @override
    def get_new_connection(self, params: SQLiteParams, /) -> sqlite3.Connection:
        connection = super().get_new_connection(params)
        self.count.change(1)
        return connection

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        self.count.change(-1)
        super().close_connection(connection)


@contextmanager
def waitress_server(app: Any, threads: int) -> Iterator[int]:
    """Serve the WSGI *app* with that many threads; yields the port."""
    from waitress.server import create_server

    server: Any = create_server(app, host="127.0.0.1", port=0, threads=threads)
    thread = threading.Thread(target=server.run, name="waitress")
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        try:
            server.trigger.pull_trigger(server.close)  # there, or it would select on a closed socket
        except OSError:  # a worker's pull has woken it already, so it has closed the trigger before this pull's write
            pass
        thread.join(20)
        workers = [thread for thread in threading.enumerate() if thread.name.startswith("waitress-")]
        server.task_dispatcher.shutdown(timeout=20)
        for worker in workers:  # it waits for their last task, not for their end, which is what closes
            worker.join(20)


@contextmanager
def uvicorn_server(app: Any, loop: str = "asyncio") -> Iterator[int]:
    """Serve the ASGI *app* on that event loop; yields the port."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0), backlog=128)  # listens before the loop runs: no waiting for it
    config = uvicorn.Config(app, loop=loop, log_config=None, lifespan="on", timeout_graceful_shutdown=20)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn")
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def ask_all(port: int, paths: list[str], clients: int) -> list[tuple[str, int, str]]:
    """Request each path, over that many connections at once; returns path, status and body of each."""
    answers: list[tuple[str, int, str]] = []
    waiting = list(reversed(paths))

    def ask() -> None:
        client = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while waiting:
                try:
                    path = waiting.pop()
                except IndexError:
                    return
                client.request("GET", path)
                response = client.getresponse()
                answers.append((path, response.status, response.read().decode()))
        finally:
            client.close()

    threads = [threading.Thread(target=ask, name=f"client {number}") for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
