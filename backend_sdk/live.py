"""A live server in another thread on this thread's own connections: for tests with a browser.

Source: Django tickets 2879 and 17258.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .connections import Connections, connections
from .databases import DEFAULT_ALIAS
from .middleware import WSGIScope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.simple_server import WSGIServer

    from .middleware import WSGIApp

__all__ = ["live_server"]


@contextmanager
def live_server(
    app: WSGIApp,
    *,
    share: Iterable[str] = (DEFAULT_ALIAS,),
    host: str = "127.0.0.1",
    port: int = 0,
    connections: Connections = connections,
) -> Iterator[str]:
    """Serve the WSGI *app* in other threads for the length of the block; yields its URL.

    The aliases in *share* stand for this thread's own wrappers there: the same session, and so the same in-memory
    database and the same transaction. Each request is served in a thread of its own under a scope, which leaves them
    open; the block's end waits for the requests that are being served.
    """
    wrappers = {alias: connections[alias] for alias in share}
    databases = connections.databases.with_(wrappers)
    with ExitStack() as stack:
        for wrapper in {id(wrapper): wrapper for wrapper in wrappers.values()}.values():
            wrapper.connect()  # here, since it belongs to this thread
            stack.enter_context(wrapper.shared())
        server = stack.enter_context(_make_server(host, port, WSGIScope(app, databases, connections=connections)))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="live server")
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _make_server(host: str, port: int, app: WSGIApp) -> WSGIServer:
    import socket
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test's output is its own."""

    class Server(ThreadingMixIn, WSGIServer):
        """A thread for each connection: browsers open some in advance, which must keep nobody waiting."""

        daemon_threads = False  # so that closing the server waits for them

        def __init__(self, *args: Any, **options: Any) -> None:
            self._open: set[socket.socket] = set()
            super().__init__(*args, **options)

        def process_request(self, request: Any, client_address: Any) -> None:
            self._open.add(request)
            super().process_request(request, client_address)

        def shutdown_request(self, request: Any) -> None:
            self._open.discard(request)
            super().shutdown_request(request)

        def server_close(self) -> None:
            for request in list(self._open):
                try:
                    request.shutdown(socket.SHUT_RD)  # whoever waits for a request on it reads that there is none
                except OSError:  # closed meanwhile
                    continue
            super().server_close()

    return make_server(host, port, app, server_class=Server, handler_class=Quiet)
