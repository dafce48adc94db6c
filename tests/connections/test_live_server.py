"""A server in another thread on the same in-memory database, as a browser's tests need it."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from backend_sdk import Connections, ThreadSharingError, live_server
from tests.core.fakes import in_thread


@pytest.fixture(name="handler")
def make_handler() -> Connections:
    handler = Connections({"default": "sqlite://:memory:?ATOMIC_REQUESTS=true", "other": "sqlite://:memory:"})
    handler["default"].cursor().execute("CREATE TABLE page (text TEXT)")
    return handler


def site(handler: Connections) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        with handler["default"].cursor() as cursor:
            cursor.execute("SELECT text FROM page")
            texts = [str(text) for (text,) in cursor.fetchall()]
            cursor.execute("INSERT INTO page VALUES (?)", (environ["PATH_INFO"],))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(texts).encode()]

    return app


def read(url: str) -> str:
    with urlopen(url, timeout=20) as response:
        return str(response.read().decode())


def test_the_server_sees_this_threads_memory_database_and_its_open_transaction(handler: Connections) -> None:
    with live_server(site(handler), connections=handler) as url, handler["default"].atomic():
        handler["default"].cursor().execute("INSERT INTO page VALUES ('uncommitted')")
        assert read(f"{url}/one") == "uncommitted"
        assert read(f"{url}/two") == "uncommitted /one"
    with handler["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM page")
        assert cursor.fetchone() == (3,)


def test_sharing_ends_with_the_server_and_the_connection_stays(handler: Connections) -> None:
    with live_server(site(handler), connections=handler) as url:
        read(url)
    assert handler["default"].is_open
    with pytest.raises(ThreadSharingError):
        in_thread(handler["default"].cursor)


def test_what_is_not_shared_is_the_servers_own(handler: Connections) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(handler["other"])
        start_response("200 OK", [])
        return [b"fine"]

    with live_server(app, connections=handler) as url:
        assert read(url) == "fine"
    assert seen[0] is not handler["other"]


def test_connections_that_nothing_is_sent_on_hold_up_neither_requests_nor_the_end(handler: Connections) -> None:
    with live_server(site(handler), connections=handler) as url:
        address = urlsplit(url)
        idle = socket.create_connection((address.hostname, address.port), timeout=20)  # as browsers open in advance
        read(f"{url}/one")
        assert read(f"{url}/two") == "/one"
    with idle:
        assert idle.recv(1) == b"", "the server has not closed it"
